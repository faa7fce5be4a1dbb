"""What may be spent is edited in Prefect, and a run that reaches it says what it had achieved."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.e2e.stack import Up
from tests.e2e.waiting_runs import edited_block, effects
from triptych.loop.witness import read
from triptych.runtime.witnessed import requests_finished

pytestmark = pytest.mark.timeout(400)


def start(up: Up) -> str:
    """Start a run of two lookups and a small refund: four model requests."""
    look = {"name": "get_order_details", "arguments": {"order_id": "#T1001"}}
    ticket = {"id": f"budget-{uuid.uuid4()}", "instruction": "What is in #T1001?", "actions": [look, look, look]}
    deployment = up.get("deployments/name/handle-ticket/handle-ticket")
    body = {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": ticket, "agent": "retail"}}
    return up.post(f"deployments/{deployment['id']}/create_flow_run", body)["id"]


def ended(up: Up, run: str) -> dict[str, Any]:
    return up.wait_for(run, "Completed", "Failed", "Crashed")


def asked(up: Up, run: str) -> int:
    return requests_finished(read(up.witness), run)


def test_a_run_that_reaches_its_budget_says_what_it_did_and_pays_no_more(up: Up) -> None:
    with edited_block(up, "budget", "budget", run_steps=2):
        run = start(up)
        state = ended(up, run)
    assert state["state_name"] == "Failed"
    said = state["state"]["message"]
    assert "the budget of 2 model requests for a run is spent" in said
    assert "made 2 model requests" in said
    assert "changed: nothing" in said
    assert asked(up, run) == 2
    assert effects(up, run) == []
    assert json.loads(up.run("history", run, "--json").stdout)["state"] == "Failed"


def test_what_other_runs_of_the_day_spent_counts(up: Up) -> None:
    with edited_block(up, "budget", "budget", day_steps=1_000_000):
        first = start(up)
        assert ended(up, first)["state_name"] == "Completed"
        spent = asked(up, first)
        assert spent > 1
    with edited_block(up, "budget", "budget", day_steps=spent):
        second = start(up)
        state = ended(up, second)
    assert "for all runs in a day is spent" in state["state"]["message"]
    assert asked(up, second) == 0
    third = start(up)
    assert ended(up, third)["state_name"] == "Completed"
