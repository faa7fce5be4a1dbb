"""A server that was killed has forgotten who had a place under a deployment's concurrency limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed_runs import deploy
from tests.e2e.services import started_again
from tests.e2e.stack import Home, Up, poll


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Up]:
    """A stack of the test's own."""
    home = Home(tmp_path)
    try:
        yield Up(folder=home.folder, api_url=home.json("up")["api_url"])
    finally:
        home.json("down")


@pytest.mark.timeout(400)
def test_a_run_that_was_about_to_start_is_brought_back(own: Up) -> None:
    limits = {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": "ENQUEUE"}}
    deployment = deploy(own, "tests/e2e/sleeping_flow.py:sleeping", "limited", **limits)
    runs = [
        own.post(
            f"deployments/{deployment}/create_flow_run",
            {"state": {"type": "SCHEDULED"}, "parameters": {"seconds": 1.0}},
        )["id"]
        for _ in range(2)
    ]
    # Its worker has its place; its process, which takes seconds to get there, does not know it yet.
    poll("a run is Pending", lambda: any(own.state(run) == "Pending" for run in runs))
    with started_again(own, "server"):
        for run in runs:
            # Prefect may cancel it meanwhile, and nobody else has.
            assert own.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
