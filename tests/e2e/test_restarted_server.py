"""A server that was killed has forgotten who had a place under a deployment's concurrency limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed_runs import deploy
from tests.e2e.services import started_again
from tests.e2e.stack import PROJECT, Home, Up, poll


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Up]:
    """A stack of the test's own."""
    home = Home(tmp_path)
    try:
        yield Up(folder=home.folder, api_url=home.json("up")["api_url"])
    finally:
        home.json("down")


@pytest.mark.timeout(600)
def test_a_run_that_was_about_to_start_is_brought_back(own: Up, tmp_path: Path) -> None:
    arrived, gate = tmp_path / "arrived", tmp_path / "gate"
    waiting = f"touch {arrived}; for i in $(seq 3000); do test -e {gate} && exit; sleep 0.1; done; exit 1"
    steps = [
        {"prefect.deployments.steps.run_shell_script": {"script": waiting, "shell": True}},
        {"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}},
    ]
    limits = {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": "ENQUEUE"}}
    deployment = deploy(own, "tests/e2e/sleeping_flow.py:sleeping", "limited", pull_steps=steps, **limits)
    runs = [
        own.post(
            f"deployments/{deployment}/create_flow_run",
            {"state": {"type": "SCHEDULED"}, "parameters": {"seconds": 1.0}},
        )["id"]
        for _ in range(2)
    ]
    # It has its place, and has not said yet that it runs.
    poll("one waits at the gate", arrived.exists)
    assert "PENDING" in [own.get(f"flow_runs/{run}")["state_type"] for run in runs]
    with started_again(own, "server"):
        gate.touch()
        for run in runs:
            # Prefect may cancel it meanwhile, and nobody else has.
            assert own.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
