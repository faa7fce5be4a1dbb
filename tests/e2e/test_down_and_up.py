"""`triptych down` amid a run, and `up` again: the run goes on from its last checkpoint, under its own id."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.e2e.stack import Home, Up, poll
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.runtime.witnessed import executed_again
from triptych.samples import TICKETS


@pytest.mark.timeout(400)
def test_what_was_under_way_goes_on(home: Home) -> None:
    first = Up(folder=home.folder, api_url=home.json("up", TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS="1.5")["api_url"])
    try:
        ticket = json.loads(TICKETS.read_text().splitlines()[0])
        (deployment,) = first.post("deployments/filter", {"deployments": {"name": {"any_": ["handle-ticket"]}}})
        run = first.post(
            f"deployments/{deployment['id']}/create_flow_run",
            {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": ticket, "agent": "retail"}},
        )["id"]
        poll("two answered requests", lambda: sum(line.event == "request.finished" for line in read(home.witness)) >= 2)
        assert home.json("down")["stopped"] == ["recovery", "worker", "server"]
        second = Up(folder=home.folder, api_url=home.json("up")["api_url"])
        ended = second.wait_for(run, "Completed", "Failed")
        assert ended["state_name"] == "Completed", ended["state"]
        assert ended["run_count"] == 2
        assert executed_again(read(home.witness)) == 0
        with OrderDesk(home.desk_url) as desk:
            assert [effect.tool for effect in desk.effects()] == ["cancel_pending_order"]
    finally:
        home.json("down")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{first.api_url}/health")
