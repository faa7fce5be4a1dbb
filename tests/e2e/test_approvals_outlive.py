"""An approval outlives what runs it: a server that is started again, a dead worker, a stack that is taken down."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from tests.components.processes import stop_tree
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
from tests.e2e.stack import Home, Up, poll
from tests.e2e.waiting_runs import effects

pytestmark = pytest.mark.timeout(900)


def test_a_wait_outlives_server_worker_and_stack(home: Home) -> None:
    started = home.json("up", "--concurrency", "6")
    pids = {service["name"]: service["pid"] for service in started["services"]}
    up = Up(folder=home.folder, api_url=started["api_url"])
    try:
        _outlive(home, up, pids)
    finally:
        home.run("down")


def _outlive(home: Home, up: Up, pids: dict[str, int]) -> None:
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
    with _started_again(pids["server"], up):
        answer(up, heard)
        check_books(up, heard)
        check_books(up, answered)
        assert up.state(waiting.id) == "Suspended"

        # The worker dies, and with it the process of a run that is held: nobody is left to report that.
        orphaned = start(up, deployment, Case("held", name="orphaned"), policy="brief")
        wait_until_asked(up, orphaned)
        _kill(pids["worker"])
        _kill(processes(orphaned)[0].pid)
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


@contextmanager
def _started_again(server_pid: int, up: Up) -> Generator[None]:
    """Kill the server, and start the same one over the same database, as a supervisor does."""
    server = psutil.Process(server_pid)
    command, env, folder = server.cmdline(), server.environ(), server.cwd()
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{up.api_url}/health")
    with (up.folder / "logs" / "server-again.log").open("ab") as log:
        again = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    # `down` ends it, and waits until it is reaped.
    threading.Thread(target=again.wait, daemon=True).start()
    try:
        poll("the server again", lambda: _is_healthy(up), seconds=PATIENCE_SECONDS)
        yield
    finally:
        stop_tree(again)


def _is_healthy(up: Up) -> bool:
    try:
        return httpx.get(f"{up.api_url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def _kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    process.wait(30)
