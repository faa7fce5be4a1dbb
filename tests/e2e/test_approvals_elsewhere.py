"""Approvals on a server as production has it: over Postgres, and behind a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.components.postgres import PostgresUrls
from tests.e2e.stack import Home, Up, poll
from tests.e2e.waiting_runs import edited_policy, effects, ledger, resume, start

pytestmark = pytest.mark.timeout(400)

PASSWORD = "ops:only-for-this-test"


@pytest.fixture
def production(tmp_path: Path, postgres_url: PostgresUrls) -> Iterator[Up]:
    settings = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres_url.asynchronous,
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_API_AUTH_STRING": PASSWORD,
    }
    home = Home(tmp_path, settings)
    try:
        started = home.json("up")
        yield Up(folder=tmp_path, api_url=started["api_url"], settings=settings)
    finally:
        home.run("down")


def test_held_let_go_and_decided_by_who_knows_the_password(production: Up) -> None:
    up = production
    with edited_policy(up, hold_for_seconds=20, threshold_usd=500):
        held, let_go = start(up), start(up)
        for run in (held, let_go):
            up.wait_for(run, "Paused", "Completed", "Failed")
    # Answered while its process waits: it goes on in that process.
    assert resume(up, held, {"approve": True, "name": "Mia"})["status"] == "ACCEPT"
    assert up.wait_for(held, "Completed", "Failed")["state_name"] == "Completed"
    assert len(effects(up, held)) == 1
    up.wait_for(let_go, "Suspended", "Completed", "Failed")
    assert up.state(let_go) == "Suspended"
    assert not (up.folder / "prefect" / "prefect.db").exists()

    assert httpx.post(f"{up.api_url}/flow_runs/{let_go}/resume", json={"run_input": {}}).status_code == 401
    (row,) = up.json("approvals")
    stranger = up.run("approvals", "deny", row["id"], "--name", "Eve", code=None, PREFECT_API_AUTH_STRING="")
    assert stranger.returncode != 0
    assert "password" in stranger.stderr
    assert up.state(let_go) == "Suspended"

    up.json("approvals", "deny", row["id"], "--name", "Mia", "--reason", "once is enough")
    assert up.wait_for(let_go, "Completed", "Failed")["state_name"] == "Completed"
    assert effects(up, let_go) == []
    for run, outcome, way in ((held, "approved", "form"), (let_go, "denied", "command")):
        _, decision = ledger(up, run)
        # Held and then let go of is one time of asking.
        assert (decision.outcome, decision.claimed_name, decision.way, decision.attempts) == (outcome, "Mia", way, 1)
        # No execution but the first: a wait takes nothing from what is there for faults.
        assert up.get(f"flow_runs/{run}")["run_count"] == 1
    poll("no held run", lambda: not up.flow_runs(state={"type": {"any_": ["PAUSED", "RUNNING"]}}))
