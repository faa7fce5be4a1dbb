"""DBOS in the real world: what it holds through kills, and that the arm is driven as its protocol says."""

from __future__ import annotations

import pytest

from benchmarks.contract import Fault
from tests.unit.benchmarks.arms.arena import SLOW, Serve, approval_item, refund_item, version

pytest.importorskip("dbos")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_undisturbed_items_are_done_with_each_step_taken_once(serve: Serve) -> None:
    with serve("dbos", (refund_item("calm-1"), refund_item("calm-2"))) as arena:
        arena.submit()
        arena.done()
        for id in arena.items:
            assert (arena.times(id, "request"), arena.times(id, "call")) == ([1] * 4, [1] * 3)
            assert arena.effects(id) == 1
            assert arena.corrupted(id) == []


def test_errors_and_timeouts_are_tried_again_in_their_step_under_one_key(serve: Serve) -> None:
    faults = (
        Fault(item="error", kind="request", step=1, what="rate_limit"),
        Fault(item="error", kind="request", step=2, what="error"),
        Fault(item="error", kind="call", step=0, what="error", times=2),
        Fault(item="error", kind="call", step=1, what="timeout", when="done"),
    )
    with serve("dbos", (refund_item("error"),), *faults) as arena:
        arena.submit()
        arena.done()
        assert (arena.times("error", "request"), arena.times("error", "call")) == ([1, 2, 2, 1], [3, 2, 1])
        assert arena.effects("error") == 1
        assert len({line.key for line in arena.lines("error", kind="call", step=1, event="started")}) == 1


def test_a_kill_takes_all_workflows_along_and_all_go_on_from_their_last_steps(serve: Serve) -> None:
    items = (refund_item("asked"), refund_item("beside"))
    kill = Fault(item="asked", kind="call", step=1, what="kill", when="done")
    with serve("dbos", items, kill, pace=SLOW) as arena:
        arena.submit()
        arena.done()
        assert len(arena.lines("asked", event="killed")) == 1
        for id in arena.items:
            assert arena.effects(id) == 1
            assert arena.corrupted(id) == []
            # The step that was under way, whose outcome could not be known, is the one that is taken again.
            assert sum(arena.times(id, "request") + arena.times(id, "call")) <= 8
        assert arena.times("asked", "call") == [1, 2, 1]


def test_a_person_decides_once_also_across_a_restart(serve: Serve) -> None:
    items = (approval_item("yes", "approve"), approval_item("no", "deny"))
    with serve("dbos", items) as arena:
        assert arena.look("yes").state == "unknown"
        arena.submit()
        for id in arena.items:
            assert arena.until(id, "waiting").asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
        assert set(arena.served.restart()) == {"kill", "start"}
        for id, approve in (("yes", True), ("no", False)):
            arena.until(id, "waiting")
            arena.decide(id, approve)
        arena.done()
        assert (arena.times("yes", "call"), arena.effects("yes")) == ([1, 1, 1], 1)
        assert (arena.times("no", "call"), arena.effects("no")) == ([1, 0, 1], 0)
        for id in arena.items:
            assert arena.times(id, "request") == [1] * 4


def test_a_deploy_loses_no_run_and_the_next_one_is_of_the_new_version(serve: Serve) -> None:
    with serve("dbos", (approval_item("over", "approve"), refund_item("new"))) as arena:
        arena.submit("over")
        arena.until("over", "waiting")
        version(arena.place, 2)
        assert set(arena.served.deploy()) == {"stop", "start"}
        arena.submit("new")
        arena.until("over", "waiting")
        arena.decide("over", True)
        arena.done()
        # Nothing holds a recorded step against today's code: the rest of the run is the new version's.
        versions = [line.version for line in arena.lines("over", kind="request", event="started")]
        assert versions == ["1", "1", "2", "2"]
        assert {line.version for line in arena.lines("new", kind="request", event="started")} == {"2"}


def test_a_database_that_is_locked_for_a_while_is_waited_for(serve: Serve) -> None:
    with serve("dbos", (refund_item("away"),), pace=SLOW) as arena:
        arena.submit()
        arena.served.store_outage(3)
        arena.done()
        assert arena.effects("away") == 1
