"""The server's database dies amid runs, with every connection, and comes back; the runs come to their end, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components import require
from tests.components.postgres import Postgres
from tests.e2e.stack import Home, Up, poll
from tests.e2e.waiting_runs import effects
from triptych.loop.witness import read
from triptych.runtime.witnessed import executed_again


@pytest.fixture
def database() -> Iterator[Postgres]:
    """A cluster that this test may kill."""
    cluster = Postgres(require("postgres"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def own(database: Postgres, tmp_path: Path) -> Iterator[Up]:
    """A stack over it, whose model takes its time."""
    settings = {
        "PREFECT_API_DATABASE_CONNECTION_URL": database.create_database().asynchronous,
        "TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS": "1.5",
    }
    home = Home(tmp_path / "own-home", settings)
    try:
        yield Up(folder=home.folder, settings=settings, api_url=home.json("up")["api_url"])
    finally:
        home.json("down")


def _start(up: Up, number: int) -> str:
    calls = [
        {"name": "order_lookup", "arguments": {"order_id": "#T1001"}},
        {"name": "refund", "arguments": {"order_id": "#T1001", "amount": 1.0 + number}},
        {"name": "order_lookup", "arguments": {"order_id": "#T1001"}},
    ]
    ticket = {"id": f"small-{number}", "instruction": "A dollar back, please.", "actions": calls}
    deployment = up.get("deployments/name/handle-ticket/handle-ticket")
    body = {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": ticket, "agent": "orders"}}
    return up.post(f"deployments/{deployment['id']}/create_flow_run", body)["id"]


@pytest.mark.timeout(600)
def test_runs_outlive_their_servers_database(own: Up, database: Postgres) -> None:
    runs = [_start(own, number) for number in range(3)]

    def answers(run: str) -> int:
        return sum(line.event == "request.finished" and line.run.startswith(run) for line in read(own.witness))

    for wanted in (1, 3):
        poll("answered requests", lambda wanted=wanted: all(answers(run) >= wanted for run in runs))
        database.crash_and_start_again()
    for run in runs:
        assert own.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
        assert len(effects(own, run)) == 1
    # A request that was under way when its run changed hands may be made again; none that was answered and kept.
    assert executed_again(read(own.witness)) <= len(runs) * 2
