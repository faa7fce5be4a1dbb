"""A function that is invoked anew after a crash does all of its steps again; its effects too, unless they have keys."""

from __future__ import annotations

import time

import pytest

from benchmarks.arms import functions, while_loop
from benchmarks.arms.protocol import Look
from benchmarks.contract import Fault
from tests.unit.benchmarks.arms.arena import SLOW, Serve, approval_item, refund_item, version

ARMS = ("while_loop", "while_loop_keyed")
both = pytest.mark.parametrize("arm", ARMS)


@both
def test_undisturbed_every_step_is_done_once(serve: Serve, arm: str) -> None:
    with serve(arm, [refund_item("a"), refund_item("b")]) as arena:
        arena.submit()
        arena.done()
        for id in ("a", "b"):
            assert arena.times(id, "request") == [1, 1, 1, 1]
            assert arena.times(id, "call") == [1, 1, 1]
            assert arena.effects(id) == 1
            assert arena.corrupted(id) == []


@pytest.mark.parametrize(("arm", "effects"), [("while_loop", 2), ("while_loop_keyed", 1)])
def test_a_kill_loses_all_steps_and_doubles_an_effect_whose_key_is_new(serve: Serve, arm: str, effects: int) -> None:
    kill = Fault(item="a", kind="call", step=1, what="kill", when="done")
    with serve(arm, [refund_item("a"), refund_item("b")], kill) as arena:
        arena.submit()
        arena.done()
        assert len(arena.lines("a", event="killed")) == 1
        assert arena.times("a", "request") == [2, 2, 1, 1]
        assert arena.times("a", "call") == [2, 2, 1]
        assert arena.effects("a") == effects
        # Another item's invocation is a process of its own.
        assert arena.times("b", "request") == [1, 1, 1, 1]


def test_keys_differ_by_call_and_by_how_manieth_it_is(serve: Serve) -> None:
    kill = Fault(item="a", kind="call", step=2, what="kill")
    with serve("while_loop_keyed", [refund_item("a")], kill) as arena:
        arena.submit()
        arena.done()
        keys = [{line.key for line in arena.lines("a", kind="call", event="started", step=step)} for step in range(3)]
        # Each step was begun twice, with one key; the first and the last call are the same but for the time.
        assert arena.times("a", "call") == [2, 2, 2]
        assert [len(each) for each in keys] == [1, 1, 1]
        assert len(keys[0] | keys[1] | keys[2]) == 3


def test_the_third_crash_is_the_last(serve: Serve) -> None:
    kill = Fault(item="a", kind="request", step=1, what="kill", times=3)
    with serve("while_loop", [refund_item("a")], kill) as arena:
        arena.submit()
        look = arena.until("a", "failed")
        assert look.reason is not None
        assert "3 times" in look.reason
        assert arena.times("a", "request")[0] == 3


def test_an_invocation_that_takes_too_long_is_tried_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "TIME_LIMIT_SECONDS", 5.0)
    slow = Fault(item="a", kind="request", step=1, what="slow", seconds=20)
    with serve("while_loop", [refund_item("a")], slow) as arena:
        arena.submit()
        arena.done()
        assert arena.times("a", "request") == [2, 2, 1, 1]


@both
@pytest.mark.parametrize("approve", [True, False])
def test_a_decision_begins_the_function_anew(serve: Serve, arm: str, approve: bool) -> None:
    with serve(arm, [approval_item("a", "approve" if approve else "deny")]) as arena:
        arena.submit()
        look = arena.until("a", "waiting")
        assert look.asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
        assert arena.effects("a") == 0
        arena.decide("a", approve)
        arena.done()
        assert arena.effects("a") == approve
        assert arena.times("a", "request") == [2, 2, 1, 1]
        assert arena.corrupted("a") == []


def test_a_waiting_item_outlives_a_restart(serve: Serve) -> None:
    with serve("while_loop", [approval_item("a", "approve")]) as arena:
        arena.submit()
        look = arena.until("a", "waiting")
        assert arena.processes() == 0
        arena.served.restart()
        assert arena.look("a") == look
        arena.decide("a", True)
        arena.done()


def test_a_power_cut_uses_up_no_try(serve: Serve) -> None:
    crashes = Fault(item="a", kind="request", step=3, what="kill", times=2)
    with serve("while_loop", [refund_item("a")], crashes, pace=SLOW) as arena:
        arena.submit()
        arena.until_begun("a", "request", 1)
        assert set(arena.served.restart()) == {"kill"}
        arena.done()
        assert arena.times("a", "request")[0] == 4


@pytest.mark.slow
@both
def test_failures_of_the_model_and_of_tools_are_retried(serve: Serve, arm: str) -> None:
    faults = [
        Fault(item="a", kind="request", step=0, what="rate_limit"),
        Fault(item="a", kind="request", step=1, what="error", times=2),
        Fault(item="a", kind="call", step=0, what="error", times=2),
        Fault(item="a", kind="call", step=1, what="timeout", when="done"),
        Fault(item="a", kind="call", step=2, what="timeout"),
    ]
    with serve(arm, [refund_item("a")], *faults) as arena:
        arena.submit()
        arena.done()
        assert arena.times("a", "request") == [2, 3, 1, 1]
        assert arena.times("a", "call") == [3, 2, 2]
        # The same key in the retries of one call, so in both.
        assert arena.effects("a") == 1
        assert arena.corrupted("a") == []


def test_what_the_shop_refuses_the_model_is_told(serve: Serve) -> None:
    with serve("while_loop", [refund_item("a")]) as arena:
        result = while_loop.use(arena.job("a").shop_url, "refund", {"order_id": "#T1002"}, "key")
        assert result.startswith("Error: ")


def test_a_deploy_is_for_invocations_from_then_on(serve: Serve) -> None:
    with serve("while_loop", [refund_item("a"), refund_item("b")], pace=SLOW) as arena:
        arena.submit("a")
        arena.until_begun("a", "request", 1)
        version(arena.place, 2)
        assert set(arena.served.deploy()) == {"package", "publish"}
        arena.submit("b")
        arena.done()
        assert arena.versions("a") == {"1"}
        assert arena.versions("b") == {"2"}
        assert arena.times("a", "request") == [1, 1, 1, 1]


def test_what_is_under_way_ends_with_the_platform(serve: Serve) -> None:
    silence = Fault(item="a", kind="request", step=0, what="timeout")
    with serve("while_loop", [refund_item("a")], silence) as arena:
        arena.submit()
        arena.until_begun("a", "request", 0)
        assert arena.processes() == 1
        ending = time.monotonic()
    # The function would have waited for its model for half a minute.
    assert time.monotonic() - ending < 20


def test_an_item_that_never_came_is_unknown(serve: Serve) -> None:
    with serve("while_loop", [refund_item("a")]) as arena:
        assert arena.look("a") == Look("unknown")
