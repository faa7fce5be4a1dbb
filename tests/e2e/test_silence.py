"""A run whose process dies with its worker says Running for ever, were it not for its silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from tests.e2e.disturbed_runs import deploy
from tests.e2e.services import kill, started_again
from tests.e2e.stack import Home, Up, poll

LONG = 150.0
"""Seconds; longer than a run may be silent, the time that it takes to get there included."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack of this module's own."""
    home = Home(tmp_path_factory.mktemp("own-home"))
    try:
        yield Up(folder=home.folder, api_url=home.json("up")["api_url"])
    finally:
        home.json("down")


def _start(up: Up, deployment: str, seconds: float, *, state: str = "SCHEDULED") -> str:
    body = {"state": {"type": state}, "parameters": {"seconds": seconds}}
    return up.post(f"deployments/{deployment}/create_flow_run", body)["id"]


def _process(run: str) -> psutil.Process | None:
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run:
                return process
        except psutil.Error:
            continue
    return None


@pytest.mark.timeout(600)
def test_the_silent_are_brought_back_and_the_busy_are_left_alone(own: Up) -> None:
    deployment = deploy(own, "tests/e2e/sleeping_flow.py:sleeping", "sleeping")
    dead, cancelled, busy = [_start(own, deployment, seconds) for seconds in (3600.0, 3600.0, LONG)]
    # A worker took it, and died before it was started.
    pending = _start(own, deployment, 0, state="PENDING")
    for run in (dead, cancelled, busy):
        own.wait_for(run, "Running")
    # What is busy goes on through both, and its signs of life find the new server.
    with started_again(own, "server"), started_again(own, "worker"):
        for run in (dead, cancelled):
            process = poll("its process", lambda run=run: _process(run))
            kill(process.pid)
        died = datetime.now(UTC)
        own.send(f"flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}, "force": True})

        assert own.wait_for(dead, "Completed")["run_count"] == 2
        assert "gave no sign of life" in (own.folder / "logs" / "recovery.log").read_text()
        found = next(
            datetime.fromisoformat(state["timestamp"])
            for state in own.get(f"flow_run_states/?flow_run_id={dead}")
            if state["name"] == "Recovering"
        )
        assert found - died < timedelta(minutes=2)
        own.wait_for(cancelled, "Cancelled")
        assert own.wait_for(busy, "Completed")["run_count"] == 1
        assert own.wait_for(pending, "Completed")["run_count"] == 1
