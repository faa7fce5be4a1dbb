"""Killed under a real worker, brought back by its report and the recovery loop: every class of kill.

The kill matrix of `tests/resume` covers every step and both stores; here the same run goes the way of production.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.stack import PROJECT, Up, poll
from tests.resume.six_step_run import ALL_KILLS, EFFECTS, RECORDS, Kill, counted, expected_counts
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read

CLASSES = [
    f"{kind}-{point}"
    for kind, points in {
        "request": ("before", "inside", "answered"),
        "effect": ("before", "committed", "answered"),
    }.items()
    for point in points
]
"""Before, inside and after a model request and a tool call; `make soak` runs the finer points."""


class Killed(NamedTuple):
    kill: Kill | None
    flow_run_id: str
    folder: Path

    @property
    def desk_url(self) -> str:
        return f"sqlite:///{self.folder / 'desk.sqlite'}"


@pytest.fixture(scope="module")
def runs(up: Up, seed: int, tmp_path_factory: pytest.TempPathFactory) -> list[Killed]:
    """One undisturbed run and one of each class, all at once, at their end."""
    print(f"TRIPTYCH_SEED={seed}")
    chance = random.Random(seed)
    kills = [None, *(chance.choice([kill for kill in ALL_KILLS if kill.kill_class == each]) for each in CLASSES)]
    deployment = _deploy(up)
    started = [_start(up, deployment, kill, tmp_path_factory.mktemp("run")) for kill in kills]
    for run in started:
        up.wait_for(run.flow_run_id, "Completed")
    return started


def _deploy(up: Up) -> str:
    flow = up.post("flows/", {"name": "six-steps"})
    return up.post(
        "deployments/",
        {
            "name": "killed",
            "flow_id": flow["id"],
            "entrypoint": "tests/resume/six_steps.py:six_steps",
            "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}}],
            "work_pool_name": "triptych",
            "tags": ["triptych"],
        },
    )["id"]


def _start(up: Up, deployment: str, kill: Kill | None, folder: Path) -> Killed:
    started = Killed(kill, "", folder)
    with OrderDesk(started.desk_url) as desk:
        desk.load(RECORDS)
    told = {
        "store": "triptych",
        "desk": started.desk_url,
        "witness": str(folder / "witness.jsonl"),
        "forgets_keys": False,
        "kill": kill,
    }
    run = up.post(
        f"deployments/{deployment}/create_flow_run",
        {"state": {"type": "SCHEDULED"}, "job_variables": {"env": {"SIX_STEPS": json.dumps(told)}}},
    )
    return started._replace(flow_run_id=run["id"])


def _result(up: Up, run: Killed) -> dict[str, Any]:
    data = up.get(f"flow_runs/{run.flow_run_id}")["state"]["data"]
    return json.loads((up.folder / "checkpoints" / "results" / data["storage_key"]).read_bytes())


@pytest.mark.timeout(500)
def test_a_killed_run_finishes_under_its_own_id_as_if_nothing_had_happened(up: Up, runs: Sequence[Killed]) -> None:
    undisturbed = _result(up, runs[0])
    for run in runs:
        what = f"{run.kill and run.kill.kill_class} ({run.kill}), flow run {run.flow_run_id}"
        assert _result(up, run) == undisturbed, what
        assert counted(read(run.folder / "witness.jsonl")) == expected_counts(run.kill), what
        with OrderDesk(run.desk_url) as desk:
            calls = [effect.key.rpartition(":")[2] for effect in desk.effects()]
        assert sorted(calls) == sorted(EFFECTS), what
        executions = up.get(f"flow_runs/{run.flow_run_id}")["run_count"]
        assert executions == (1 if run.kill is None else 2), what


@pytest.mark.timeout(100)
def test_only_what_crashed_is_brought_back_and_once(up: Up, runs: Sequence[Killed]) -> None:
    for run in runs:
        states = [state["name"] for state in up.get(f"flow_run_states/?flow_run_id={run.flow_run_id}")]
        wanted = 0 if run.kill is None else 1
        assert states.count("Crashed") == states.count("Recovering") == wanted, states


def test_no_step_is_left_running_in_the_ui(up: Up, runs: Sequence[Killed]) -> None:
    seen: set[str] = set()
    for run in runs:
        at_their_ends = {"COMPLETED"} if run.kill is None else {"COMPLETED", "CRASHED"}

        def states_of(run: Killed = run, wanted: set[str] = at_their_ends) -> set[str] | None:
            steps = up.post("task_runs/filter", {"flow_runs": {"id": {"any_": [run.flow_run_id]}}, "limit": 200})
            states = {step["state_type"] for step in steps}
            return states if states <= wanted else None

        # The server records them every second.
        states = poll(f"the ends of the steps of {run.kill}", states_of, seconds=30)
        seen |= states
    # Not of every run: of a step that has just begun, the news may die with the process.
    assert "CRASHED" in seen
