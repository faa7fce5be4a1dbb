"""A refund above the threshold waits for a person, whose answer is applied once; the run costs no process meanwhile."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.e2e.stack import Up, poll
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.records import ApprovalDecision, ApprovalRequest, TicketReport
from triptych.runtime.witnessed import executed_again
from triptych.samples import TICKETS

pytestmark = pytest.mark.timeout(400)

BIG = next(ticket for ticket in map(json.loads, TICKETS.read_text().splitlines()) if ticket["id"] == "big-refund")


def _start(up: Up) -> str:
    (deployment,) = up.post("deployments/filter", {"deployments": {"name": {"any_": ["handle-ticket"]}}})
    return up.post(
        f"deployments/{deployment['id']}/create_flow_run",
        {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": BIG, "agent": "retail"}},
    )["id"]


def _resume(up: Up, run: str, run_input: Mapping[str, Any]) -> dict[str, Any]:
    return up.post(f"flow_runs/{run}/resume", {"run_input": dict(run_input)})


def _ledger(up: Up, run: str) -> tuple[ApprovalRequest, ApprovalDecision]:
    (folder,) = (up.folder / "checkpoints" / "approvals" / run).iterdir()
    request = ApprovalRequest.model_validate_json((folder / "request.json").read_bytes())
    return request, ApprovalDecision.model_validate_json((folder / "decision.json").read_bytes())


def _effects(up: Up, run: str) -> list[str]:
    with OrderDesk(up.desk_url) as desk:
        return [effect.tool for effect in desk.effects(key_prefix=f"{run}:")]


@contextmanager
def _policy(up: Up, **changes: Any) -> Generator[None]:
    """Edit the policy as a person does in the UI, for what is asked meanwhile."""
    document = up.get("block_types/slug/approval-policy/block_documents/name/approvals")
    up.patch(f"block_documents/{document['id']}", {"data": changes})
    try:
        yield
    finally:
        up.patch(f"block_documents/{document['id']}", {"data": document["data"]})


@pytest.mark.parametrize(("policy", "state"), [("deny", "Completed"), ("fail", "Failed")])
def test_nobody_answers_in_time(up: Up, policy: str, state: str) -> None:
    with _policy(up, time_to_live_seconds=5, when_nobody_answers=policy, threshold_usd=500):
        run = _start(up)
        ended = up.wait_for(run, "Completed", "Failed")
    assert ended["state_name"] == state, ended["state"]
    request, decision = _ledger(up, run)
    assert (decision.outcome, decision.way, decision.claimed_name) == ("expired", "policy", None)
    assert request.deadline <= decision.decided_at
    assert (decision.decided_at - request.deadline).total_seconds() < 60
    assert _effects(up, run) == []


def test_a_person_decides_and_it_is_applied_once(up: Up) -> None:
    approved, denied, empty, wrong = runs = [_start(up) for _ in range(4)]
    for run in runs:
        up.wait_for(run, "Suspended", "Completed", "Failed")
        assert up.state(run) == "Suspended"
        assert _effects(up, run) == []
    # Nothing of them is left on this machine.
    poll("no process of a waiting run", lambda: not any(_has_process(run) for run in runs))

    assert _resume(up, wrong, {"approve": "perhaps", "name": "Mia"})["status"] == "REJECT"
    assert up.state(wrong) == "Suspended"
    answers = {denied: {"reason": "ask the customer first", "name": "Mia"}, empty: {}, wrong: {"approve": True}}
    for run, answer in answers.items():
        assert _resume(up, run, answer)["status"] == "ACCEPT"
        up.wait_for(run, "Completed", "Failed")
    # Last: it changes the order that the others ask about. And by the command, which is the same resume.
    (row,) = up.json("approvals")
    assert (row["flow_run_id"], row["amount_usd"] > 500, row["seconds_left"] > 80_000) == (approved, True, True)
    assert up.json("approvals", "approve", row["id"][:8], "--name", "Mia Manager")["flow_run_id"] == approved
    assert "no pending request" in up.run("approvals", "deny", row["id"], "--name", "Max", code=2).stderr
    for run in runs:
        assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
        lines = [line for line in read(up.witness) if line.run.startswith(run)]
        # Nothing that was answered before the wait is asked of the model again.
        assert executed_again(line for line in lines if line.event.startswith("request")) == 0

    outcomes = {run: _ledger(up, run)[1] for run in runs}
    assert [outcomes[run].outcome for run in runs] == ["approved", "denied", "denied", "denied"]
    assert [outcomes[run].claimed_name for run in runs] == ["Mia Manager", "Mia", None, None]
    assert "approving needs a name" in outcomes[wrong].reason
    request = _ledger(up, approved)[0]
    assert request.amount_usd is not None
    assert request.amount_usd > 500
    assert [len(_effects(up, run)) for run in runs] == [1, 0, 0, 0]
    assert _result(up, approved).spending.steps == _result(up, denied).spending.steps


def _has_process(run: str) -> bool:
    return any(
        f"'PREFECT__FLOW_RUN_ID': '{run}'" in str(process.info["environ"])
        for process in psutil.process_iter(["environ"])
    )


def _result(up: Up, run: str) -> TicketReport:
    data = up.get(f"flow_runs/{run}")["state"]["data"]
    stored = json.loads((up.folder / "checkpoints" / "results" / data["storage_key"]).read_bytes())
    return TicketReport.model_validate(stored)
