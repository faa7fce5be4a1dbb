"""An approval survives what befalls its run: asked once, or told why again, and applied once or not at all.

Real server, real worker, real deployments, real SIGKILL. What kills the worker and the server is in
`test_approvals_outlive`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psutil
import pytest

from tests.e2e.disturbed_runs import (
    EMPTY,
    NO,
    YES,
    Answer,
    Case,
    Run,
    answer,
    check_books,
    deploy,
    kill,
    load_order,
    processes,
    save_policy,
    start,
    states,
    wait_until_asked,
    wait_until_ended,
)
from tests.e2e.stack import Up, poll
from tests.e2e.waiting_runs import effects, ledger, resume
from triptych.records import ApprovalRequest
from triptych.runtime.approval.waiting import GRACE_SECONDS

pytestmark = pytest.mark.timeout(900)

KILLS = [
    Case("suspended", "suspended"),
    Case("suspended", "answered"),
    Case("suspended", "decided"),
    Case("suspended", "applied"),
    Case("suspended", "ended"),
    Case("held", "asked"),
    Case("held", "unheard", EMPTY),
    Case("held", "started"),
    Case("held", "finished"),
]
"""While it is asked, after the decision, inside the refund, after it; for both ways of waiting."""
RETRIED = [Case("suspended", name="retried"), Case("held", name="retried")]
CROWDED = [Case("suspended", name="crowd"), Case("held", name="crowd-1"), Case("held", name="crowd-2")]
LIMITED = [Case("held", name="limited")]
"""Of a deployment that has a concurrency limit."""


class Stage(NamedTuple):
    """The session's stack, with what these tests need beside it."""

    up: Up
    deployment: str
    runs: list[Run]
    """Started at once: most of a run's time is its process's start."""

    def of(self, cases: list[Case]) -> list[Run]:
        return [run for run in self.runs if run.case in cases]


@pytest.fixture(scope="module")
def stage(up: Up) -> Iterator[Stage]:
    before = up.get("work_pools/triptych")["concurrency_limit"]
    load_order(up)
    # Those that are held do not count.
    up.patch("work_pools/triptych", {"concurrency_limit": 6})
    save_policy(up, "suspended", threshold_usd=500)
    save_policy(up, "held", threshold_usd=500, hold_for_seconds=3600)
    save_policy(up, "brief", threshold_usd=500, time_to_live_seconds=15)
    save_policy(up, "brief-held", threshold_usd=500, time_to_live_seconds=15, hold_for_seconds=3600)
    handling = deploy(up, "flows/handle_ticket.py:handle_ticket", "disturbed")
    failing = deploy(up, "tests/e2e/retried_flow.py:retried", "retried")
    limited = deploy(up, "flows/handle_ticket.py:handle_ticket", "limited", concurrency_limit=1)
    started = {handling: [*KILLS, *CROWDED], failing: RETRIED, limited: LIMITED}
    runs = [start(up, deployment, case) for deployment, cases in started.items() for case in cases]
    yield Stage(up, handling, runs)
    up.patch("work_pools/triptych", {"concurrency_limit": before})


def test_killed_around_an_approval(stage: Stage) -> None:
    up, runs = stage.up, stage.of(KILLS)
    # One after the other: while one is brought back, the next is asked.
    for run in runs:
        if run.case.dies == "asked":
            wait_until_asked(up, run)
            kill(run)
        elif run.case.dies == "unheard":
            # It is answered, and its process dies before it looks.
            wait_until_asked(up, run)
            processes(run)[0].suspend()
            answer(up, run)
            kill(run)
        elif run.case.attempts == 1:
            answer(up, run)
    for run in runs:
        if run.case.attempts == 2:
            answer(up, run, attempt=2)
    for run in runs:
        check_books(up, run)
        assert "Crashed" in states(up, run)


def test_a_flow_retry_after_an_approval(stage: Stage) -> None:
    up = stage.up
    for run in stage.of(RETRIED):
        answer(up, run)
    for run in stage.of(RETRIED):
        # It has one retry, and the fault after the approval is what it was spent on.
        check_books(up, run)
        assert states(up, run).count("AwaitingRetry") == 1, states(up, run)


def test_a_hold_ends_before_prefect_ends_the_process(stage: Stage) -> None:
    """The server takes a paused run's place under its deployment's limit, which Prefect looks for every 225 s."""
    up, (run,) = stage.up, stage.of(LIMITED)
    wait_until_asked(up, run)
    found = up.get(f"flow_runs/{run.id}")
    assert found["state"]["state_details"]["deployment_concurrency_lease_id"] is not None
    end = datetime.fromisoformat(found["state"]["state_details"]["pause_timeout"]) - timedelta(seconds=GRACE_SECONDS)
    assert timedelta(seconds=100) < end - datetime.fromisoformat(found["start_time"]) < timedelta(seconds=215)
    answer(up, run)
    check_books(up, run)


def test_of_several_people_one_decides(stage: Stage) -> None:
    up = stage.up
    people: list[Answer] = [YES, NO, {"approve": True, "name": "Ann"}, EMPTY, {"name": "Tom"}]
    for turn, run in enumerate(stage.of(CROWDED)):
        wait_until_asked(up, run)
        told = _answer_at_once(up, run, people[turn:] + people[:turn])
        assert sorted(status for _, status in told) == ["ABORT"] * 4 + ["ACCEPT"]
        (winner,) = [given for given, status in told if status == "ACCEPT"]
        assert wait_until_ended(up, run)["state_name"] == "Completed"
        _, decision = ledger(up, run.id)
        assert (decision.claimed_name, decision.attempts) == (winner.get("name", "unidentified"), 1)
        assert decision.outcome == ("approved" if winner.get("approve") else "denied")
        assert len(effects(up, run.id)) == (1 if winner.get("approve") else 0)


def _answer_at_once(up: Up, run: Run, people: list[Answer]) -> list[tuple[Answer, str]]:
    """Have each of them answer; gives who was told what."""
    told: list[tuple[Answer, str]] = []
    ready = threading.Barrier(len(people))

    def decide(given: Answer) -> None:
        ready.wait()
        told.append((given, resume(up, run.id, given)["status"]))

    threads = [threading.Thread(target=decide, args=[given]) for given in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_a_decision_after_the_deadline(stage: Stage) -> None:
    up = stage.up
    services: list[dict[str, Any]] = json.loads((up.folder / "up.json").read_text())["services"]
    (recovery,) = [psutil.Process(each["pid"]) for each in services if each["name"] == "recovery"]
    # Whoever would end the waits at their deadline is kept from it: the recovery loop, and the process that holds.
    recovery.suspend()
    try:
        late = start(up, stage.deployment, Case("suspended", name="late"), policy="brief")
        held = start(up, stage.deployment, Case("held", name="late"), policy="brief-held")
        wait_until_asked(up, held)
        (holding,) = processes(held)
        holding.suspend()
        wait_until_asked(up, late)
        requests = [_request(up, run) for run in (late, held)]
        poll("the deadlines", lambda: datetime.now(UTC) > max(request.deadline for request in requests))
        for run, request in zip((late, held), requests, strict=True):
            refused = up.run("approvals", "approve", request.id, "--name", "Mia", code=2)
            assert "past its deadline: the policy's answer holds" in refused.stderr
            assert resume(up, run.id, YES)["status"] == "ACCEPT"
        holding.resume()
    finally:
        recovery.resume()
    for run in (late, held):
        assert wait_until_ended(up, run)["state_name"] == "Completed"
        _, decision = ledger(up, run.id)
        assert (decision.outcome, decision.way, decision.attempts) == ("expired", "policy", 1)
        assert "Mia answered after the deadline" in decision.reason
        assert effects(up, run.id) == []


def _request(up: Up, run: Run) -> ApprovalRequest:
    (file,) = (up.folder / "checkpoints" / "approvals" / run.id).glob("*/request.json")
    return ApprovalRequest.model_validate_json(file.read_bytes())
