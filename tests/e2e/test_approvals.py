"""A refund above the threshold waits for a person, whose answer is applied once; the run costs no process meanwhile."""

from __future__ import annotations

import json

import psutil
import pytest

from tests.e2e.stack import Up, poll
from tests.e2e.waiting_runs import edited_policy, effects, ledger, resume, start
from triptych.loop.witness import read
from triptych.records import TicketReport
from triptych.runtime.witnessed import executed_again

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize(("policy", "state"), [("deny", "Completed"), ("fail", "Failed")])
def test_nobody_answers_in_time(up: Up, policy: str, state: str) -> None:
    with edited_policy(up, time_to_live_seconds=5, when_nobody_answers=policy, threshold_usd=500):
        run = start(up)
        ended = up.wait_for(run, "Completed", "Failed")
    assert ended["state_name"] == state, ended["state"]
    request, decision = ledger(up, run)
    assert (decision.outcome, decision.way, decision.claimed_name) == ("expired", "policy", None)
    assert request.deadline <= decision.decided_at
    assert (decision.decided_at - request.deadline).total_seconds() < 60
    assert effects(up, run) == []


def test_a_person_decides_and_it_is_applied_once(up: Up) -> None:
    approved, denied, empty, wrong = runs = [start(up) for _ in range(4)]
    for run in runs:
        up.wait_for(run, "Suspended", "Completed", "Failed")
        assert up.state(run) == "Suspended"
        assert effects(up, run) == []
    # Nothing of them is left on this machine.
    poll("no process of a waiting run", lambda: not any(_has_process(run) for run in runs))

    assert resume(up, wrong, {"approve": "perhaps", "name": "Mia"})["status"] == "REJECT"
    assert up.state(wrong) == "Suspended"
    answers = {denied: {"reason": "ask the customer first", "name": "Mia"}, empty: {}, wrong: {"approve": True}}
    for run, answer in answers.items():
        assert resume(up, run, answer)["status"] == "ACCEPT"
        up.wait_for(run, "Completed", "Failed")
    # Last: it changes the order that the others ask about. And by the command, which is the same resume.
    (row,) = up.json("approvals")
    assert (row["flow_run_id"], row["amount_usd"] > 500, row["seconds_left"] > 80_000) == (approved, True, True)
    assert up.json("approvals", "approve", row["id"][:8], "--name", "Mia Manager")["flow_run_id"] == approved
    assert "no longer pending" in up.run("approvals", "deny", row["id"], "--name", "Max", code=2).stderr
    for run in runs:
        assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
        lines = [line for line in read(up.witness) if line.run.startswith(run)]
        # Nothing that was answered before the wait is asked of the model again.
        assert executed_again(line for line in lines if line.event.startswith("request")) == 0

    outcomes = {run: ledger(up, run)[1] for run in runs}
    assert [outcomes[run].outcome for run in runs] == ["approved", "denied", "denied", "denied"]
    assert [outcomes[run].claimed_name for run in runs] == ["Mia Manager", "Mia", "unidentified", "unidentified"]
    assert [outcomes[run].way for run in runs] == ["command", "form", "form", "form"]
    assert "approving needs a name" in outcomes[wrong].reason
    request = ledger(up, approved)[0]
    assert request.amount_usd is not None
    assert request.amount_usd > 500
    assert [len(effects(up, run)) for run in runs] == [1, 0, 0, 0]
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
