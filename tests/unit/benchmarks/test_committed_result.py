"""The committed result of the architectures: whole, of this version, and what the README shows of it."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from benchmarks.arms import ARMS
from benchmarks.figures import ARCHITECTURES, PROJECT, with_architectures
from benchmarks.harness.profiles import PROFILES
from benchmarks.reporting import published, read_frames
from benchmarks.reporting.measured import Results
from benchmarks.scoring import BENCHMARK_VERSION

FOLDER = PROJECT / ARCHITECTURES
README = (PROJECT / "README.md").read_text()


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return read_frames(FOLDER)


def test_it_is_a_full_run_of_every_arm_of_this_version(frames: dict[str, pd.DataFrame]) -> None:
    about = json.loads((FOLDER / "about.json").read_text())
    assert (about["profile"], about["benchmark_version"]) == ("full", BENCHMARK_VERSION)
    ran = {(row["arm"], row["workload"], row["plan"]) for row in frames["items"].to_dict("records")}
    assert {arm for arm, _, _ in ran} == set(ARMS)
    specs = {(spec.workload.split("-")[0], spec.plan) for spec in PROFILES["full"].specs}
    assert {(workload.split("-")[0], plan) for _, workload, plan in ran} == specs


def test_the_readme_shows_it(frames: dict[str, pd.DataFrame]) -> None:
    assert with_architectures(README, frames) == README, "run `python -m benchmarks.figures`"
    changed = frames["measures"].copy()
    changed["value"] += 1.0
    assert with_architectures(README, {**frames, "measures": changed}) != README
    (plot,) = re.findall(rf"!\[.+\]\(({ARCHITECTURES}/plots/.+\.png)\)", README)
    assert (PROJECT / plot).is_file()


def test_an_arm_that_met_fewer_plans_is_not_held_against_the_others(frames: dict[str, pd.DataFrame]) -> None:
    told = published.note(Results(frames))
    of_layered = (
        frames["differences"]
        .query(
            "measure == 'state_persistence_rate' and workload == 'retail' and plan == 'all faults' "
            "and arm_a == 'layered_s3' and arm_b == 'layered'"
        )["value_b"]
        .item()
    )
    said = (
        f"`layered_s3`, under `kills` and `store_outage` alone, where the persistence of `layered` is {of_layered:.1f}"
    )
    assert said in told
    assert "`dbos`, under" not in told
