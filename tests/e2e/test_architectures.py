"""The benchmark's smoke profile with its three arms: frames that are whole, and laws that hold on any machine.

Never how fast anything is: that is the benchmark's to say, and no test's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from benchmarks.contract import Trial
from benchmarks.harness.profiles import PROFILES
from benchmarks.scoring import frames as columns
from tests.components import require
from tests.e2e.stack import PROJECT, Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
SMOKE = PROFILES["smoke"]


class Result(NamedTuple):
    folder: Path
    trials: list[Trial]
    said: Mapping[str, Any]

    def frame(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / f"{name}.csv")


def bench(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triptych", "bench", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr[-8000:]
    return done


@pytest.fixture(scope="module")
def result(seed: int, tmp_path_factory: pytest.TempPathFactory) -> Result:
    require("rivals")
    folder = tmp_path_factory.mktemp("bench") / "result"
    done = bench("--profile", "smoke", "--seed", str(seed % 1000), "--out", str(folder), "--json")
    lines = (folder / "trials.jsonl").read_text().splitlines()
    return Result(folder, [Trial.model_validate_json(line) for line in lines], json.loads(done.stdout))


def test_every_arm_ran_every_trial_and_the_harness_failed_in_none(result: Result) -> None:
    ran = {(trial.arm, trial.workload, trial.plan.name) for trial in result.trials}
    assert ran == {(arm, spec.workload, spec.plan) for arm in SMOKE.arms for spec in SMOKE.specs}
    assert {(trial.harness_failure, trial.arm_failure) for trial in result.trials} == {(None, None)}
    assert result.frame("left_out").empty


def test_every_arm_meets_the_same_items_and_faults(result: Result) -> None:
    by_trial: dict[tuple[str, str], set[str]] = {}
    for trial in result.trials:
        met = json.dumps([trial.plan.model_dump(mode="json"), [item.id for item in trial.items]])
        by_trial.setdefault((trial.workload, trial.plan.name), set()).add(met)
    assert {len(plans) for plans in by_trial.values()} == {1}


def test_the_frames_are_whole(result: Result) -> None:
    for name in ("items", "steps", "effects", "checkpoints", "deploys", "use", "measures"):
        frame = result.frame(name)
        assert not frame.empty, name
        assert set(frame["arm"]) == set(SMOKE.arms), name
        assert list(frame.columns) == list(getattr(columns, name.upper())), name
    items = result.frame("items")
    assert len(items) == len(SMOKE.arms) * SMOKE.rounds * sum(spec.items for spec in SMOKE.specs)


def test_without_faults_nothing_is_lost_in_any_arm(result: Result) -> None:
    items, steps, effects = (
        frame[frame["plan"] == "none"] for frame in map(result.frame, ("items", "steps", "effects"))
    )
    assert set(items["state"]) == {"done"}
    assert items["answer_right"].all()
    assert steps["kept"].all()
    assert effects["success"].all()


def test_the_while_loop_loses_what_it_had_done_when_it_is_killed(result: Result) -> None:
    (trial,) = (each for each in result.trials if (each.arm, each.plan.name) == ("while_loop", "mixed"))
    killed = {fault.item: fault for fault in trial.plan.faults if fault.what == "kill"}
    assert killed
    steps = result.frame("steps")
    for item, fault in killed.items():
        own = steps[(steps["arm"] == "while_loop") & (steps["item"] == item)]
        # Request n comes before call n.
        before = [
            row["executed_again"]
            for row in own.to_dict("records")
            if (row["step"], row["kind"] == "call") < (fault.step, fault.kind == "call")
        ]
        assert all(before), (item, fault)


def test_the_layered_arm_applies_each_effect_once(result: Result) -> None:
    effects = result.frame("effects")
    own = effects[effects["arm"] == "layered"]
    assert list(own["applied"]) == list(own["intended"])
    items = result.frame("items")
    assert set(items[items["arm"] == "layered"]["state"]) == {"done"}
    assert not items[items["arm"] == "layered"]["asked_again"].any()


def test_the_report_is_there(result: Result) -> None:
    assert {arm for row in result.said["measures"] for arm in [row["arm"]]} == set(SMOKE.arms)
    page = (result.folder / "report.html").read_text()
    assert "published, no method given" in page
    assert 'src="http' not in page
    assert (result.folder / "report.md").stat().st_size > 1000
    assert list((result.folder / "plots").glob("*.png"))


def test_a_result_can_be_reported_anew_and_held_against_itself(result: Result) -> None:
    before = result.frame("measures")
    again = json.loads(bench("report", str(result.folder), "--json").stdout)
    assert len(again["measures"]) == len(before)
    said = bench("compare", str(result.folder), str(result.folder)).stdout
    assert "cannot be compared" not in said


def test_a_result_is_not_overwritten(result: Result) -> None:
    refused = bench("--out", str(result.folder), code=2)
    assert "holds a result already" in refused.stderr


def test_what_does_not_exist_is_named() -> None:
    require("rivals")
    assert "there is no arm langchain" in bench("--arms", "langchain", "--out", "unused", code=2).stderr
    assert "has no workload chess" in bench("--workloads", "chess", "--out", "unused", code=2).stderr
    assert "is no result of this benchmark" in bench("report", "docs", code=2).stderr


def test_the_deployment_puts_its_report_on_the_run_s_page(up: Up) -> None:
    require("rivals")
    (deployment,) = up.post("deployments/filter", {"deployments": {"name": {"any_": ["run-benchmark"]}}})
    parameters = {"profile": "smoke", "arms": ["while_loop"], "seed": 3}
    run = up.post(f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})["id"]
    try:
        ended = up.wait_for(run, "Completed", "Failed", "Crashed", seconds=600)
        assert ended["state_name"] == "Completed", ended["state"]["message"]
        filters = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        artifacts = {each["type"]: each["data"] for each in up.post("artifacts/filter", filters)}
        assert "state persistence rate" in artifacts["markdown"]
        assert "state_persistence_rate" in artifacts["table"]
    finally:
        for folder in (PROJECT / "bench-results").glob(f"smoke-3-{run[:8]}-*"):
            shutil.rmtree(folder)
