"""The figures of the checkpoints benchmark, by a case computed by hand; and the README shows the committed ones."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from benchmarks.checkpoints import summary
from benchmarks.figures import CHECKPOINTS, PROJECT, with_checkpoints


def runs(*, long_seconds: float) -> pd.DataFrame:
    """Two rounds. Bare: 10 steps in 0.1 s, 50 in 0.5 s. Durable: 10 steps in 0.3 s, 50 in what is given."""
    rows: list[dict[str, Any]] = []
    for number in (1, 2):
        for steps, bare, durable in ((10, 0.1, 0.3), (50, 0.5, long_seconds)):
            common = {"round": number, "steps": steps}
            rows.append({**common, "arm": "bare", "store": "none", "seconds": bare, "stored_bytes": 0})
            stored = 1000 * steps + number * steps
            rows.append({**common, "arm": "durable", "store": "folder", "seconds": durable, "stored_bytes": stored})
    return pd.DataFrame(rows).assign(database_bytes=lambda frame: 2000 * frame.steps)


def test_by_hand() -> None:
    result = summary(runs(long_seconds=1.5))
    assert [(row["store"], row["steps"]) for row in result["rows"]] == [("folder", 10), ("folder", 50)]
    # (0.3 - 0.1) s over 10 steps, and (1.5 - 0.5) s over 50.
    assert [row["ms_per_step_over_bare"]["median"] for row in result["rows"]] == [20.0, 20.0]
    assert result["rows"][0]["bytes_per_step"] == {"min": 1001.0, "median": 1001.5, "max": 1002.0}
    assert result["ratio_50_to_10"] == {"folder": 1.0}
    assert result["database_bytes_per_step"] == 2000


def test_a_cost_that_grows_with_the_run_shows() -> None:
    assert summary(runs(long_seconds=5.5))["ratio_50_to_10"] == {"folder": 5.0}


def test_the_readme_shows_the_committed_figures() -> None:
    readme, result = (PROJECT / "README.md").read_text(), json.loads((PROJECT / CHECKPOINTS).read_text())
    assert with_checkpoints(readme, result) == readme, "run `python -m benchmarks.figures`"
    result["rows"][0]["ms_per_step_over_bare"]["median"] += 1
    assert with_checkpoints(readme, result) != readme


@pytest.mark.parametrize("suite", ["approvals", "checkpoints", "demo"])
def test_a_suite_can_be_run(suite: str) -> None:
    assert (PROJECT / "benchmarks" / f"{suite}.py").read_text().count("\ndef run(*, arguments") == 1
