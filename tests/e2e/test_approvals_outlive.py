"""An approval outlives what runs it: a server that is started again, a dead worker, a stack that is taken down."""

from __future__ import annotations

import pytest

from tests.e2e.disturbed_runs import (
    NO,
    PATIENCE_SECONDS,
    Case,
    answer,
    check_books,
    deploy,
    load_order,
    processes,
    save_policy,
    start,
    states,
    wait_until_asked,
    wait_until_ended,
)
from tests.e2e.services import kill, pids, started_again
from tests.e2e.stack import Home, Up, poll
from tests.e2e.waiting_runs import effects

pytestmark = pytest.mark.timeout(900)


def test_a_wait_outlives_server_worker_and_stack(home: Home) -> None:
    started = home.json("up", "--concurrency", "6")
    up = Up(folder=home.folder, api_url=started["api_url"])
    try:
        _outlive(home, up)
    finally:
        home.run("down")


def _outlive(home: Home, up: Up) -> None:
    load_order(up)
    save_policy(up, "suspended", threshold_usd=500)
    save_policy(up, "held", threshold_usd=500, hold_for_seconds=3600)
    save_policy(up, "brief", threshold_usd=500, hold_for_seconds=15)
    deployment = deploy(up, "flows/handle_ticket.py:handle_ticket", "outliving")

    answered = start(up, deployment, Case("suspended", answer=NO, name="answered"))
    waiting = start(up, deployment, Case("suspended", name="waiting"))
    heard, unworked, again, cancelled = [
        start(up, deployment, Case("held", name=name)) for name in ("heard", "unworked", "again", "cancelled")
    ]
    for run in (answered, waiting, heard, unworked, again, cancelled):
        wait_until_asked(up, run)

    # The server dies, right after one answer, and is started again by whoever watches over it.
    answer(up, answered)
    with started_again(up, "server"):
        answer(up, heard)
        check_books(up, heard)
        check_books(up, answered)
        assert up.state(waiting.id) == "Suspended"

        # The worker dies, and with it the process of a run that is held: nobody is left to report that.
        orphaned = start(up, deployment, Case("held", name="orphaned"), policy="brief")
        wait_until_asked(up, orphaned)
        kill(pids(up)["worker"])
        kill(processes(orphaned)[0].pid)
        # What is held by a process that lives goes on without a worker.
        answer(up, unworked)
        check_books(up, unworked)
        answer(up, waiting)
        up.send(f"flow_runs/{cancelled.id}/set_state", {"state": {"type": "CANCELLING"}})
        poll("the end of the hold", lambda: "Recovering" in states(up, orphaned), seconds=PATIENCE_SECONDS)
        assert "the process that held it is gone" in (home.folder / "logs" / "recovery.log").read_text()

        assert "only a part is up" in home.run("up", code=2).stderr
        home.run("down")
    assert not processes(again)
    up = Up(folder=home.folder, api_url=home.json("up", "--concurrency", "6")["api_url"])
    check_books(up, waiting)
    assert wait_until_ended(up, cancelled)["state_name"] == "Cancelled"
    assert effects(up, cancelled.id) == []
    # Its process went down with the stack; held again, for the rest of the time.
    answer(up, again, attempt=2)
    # The time for that is over; it waits without a process.
    answer(up, orphaned, attempt=2, wait="suspended")
    for run in (again, orphaned):
        check_books(up, run, cut_short=True)
