"""Triptych as shipped in the real world: one stack for all tests, each with items of its own."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from benchmarks.arms.processes import marked
from benchmarks.contract import Fault
from tests.unit.benchmarks.arms import arena as arenas
from tests.unit.benchmarks.arms.arena import SLOW, World, approval_item, refund_item, version
from tests.unit.benchmarks.arms.one_stack import RECOVERY_SECONDS, Trial, one_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(world: World, tmp_path_factory: pytest.TempPathFactory) -> Generator[Trial]:
    with one_stack(world, tmp_path_factory.mktemp("layered"), "layered") as trial:
        yield trial


@pytest.fixture
def trial(stack: Trial, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(arenas, "DEADLINE_SECONDS", RECOVERY_SECONDS)
    return stack


def test_undisturbed_items_are_done_with_each_step_taken_once(trial: Trial) -> None:
    arena = trial((refund_item("calm-1"), refund_item("calm-2")))
    arena.submit()
    arena.submit("calm-1")  # tried again by a client that got no answer
    arena.done()
    for id in arena.items:
        assert (arena.times(id, "request"), arena.times(id, "call")) == ([1] * 4, [1] * 3)
        assert arena.effects(id) == 1
        assert arena.corrupted(id) == []
        assert len({line.key for line in arena.lines(id, kind="call", event="started")}) == 3
        assert {line.version for line in arena.lines(id, kind="request", event="started")} == {"1"}


def test_errors_and_timeouts_are_tried_again_in_their_step_under_one_key(trial: Trial) -> None:
    arena = trial(
        (refund_item("error"),),
        Fault(item="error", kind="request", step=1, what="rate_limit"),
        Fault(item="error", kind="request", step=2, what="error"),
        Fault(item="error", kind="call", step=0, what="error", times=2),
        Fault(item="error", kind="call", step=1, what="timeout", when="done"),
    )
    arena.submit()
    arena.done()
    assert (arena.times("error", "request"), arena.times("error", "call")) == ([1, 2, 2, 1], [3, 2, 1])
    assert arena.effects("error") == 1
    assert len({line.key for line in arena.lines("error", kind="call", step=1, event="started")}) == 1


def test_a_killed_run_goes_on_from_its_last_checkpoint(trial: Trial) -> None:
    items = (refund_item("asked"), refund_item("paid"), refund_item("effect"), refund_item("late"))
    arena = trial(
        items,
        Fault(item="asked", kind="request", step=2, what="kill"),
        Fault(item="paid", kind="request", step=1, what="kill", when="done"),
        Fault(item="effect", kind="call", step=1, what="kill", when="done"),
        Fault(item="late", kind="call", step=1, what="kill", when="answered", seconds=0.5),
        pace=SLOW,
    )
    arena.submit()
    arena.done()
    # One step each is taken twice: the one that was under way, whose outcome could not be known.
    assert (arena.times("asked", "request"), arena.times("asked", "call")) == ([1, 1, 2, 1], [1, 1, 1])
    assert (arena.times("paid", "request"), arena.times("paid", "call")) == ([1, 2, 1, 1], [1, 1, 1])
    assert (arena.times("effect", "request"), arena.times("effect", "call")) == ([1, 1, 1, 1], [1, 2, 1])
    assert sum(arena.times("late", "request") + arena.times("late", "call")) <= 8
    for id in arena.items:
        assert len(arena.lines(id, event="killed")) == 1
        assert arena.lines(id, event="missed") == []
        assert arena.effects(id) == 1
        assert arena.corrupted(id) == []


def test_a_person_decides_once_also_across_a_power_cut(trial: Trial) -> None:
    items = (approval_item("yes", "approve"), approval_item("no", "deny"))
    arena = trial(items)
    arena.submit()
    for id in arena.items:
        asks = arena.until(id, "waiting").asks
        assert asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
        assert (arena.effects(id), arena.lines(id, kind="call", step=1)) == (0, [])
    assert set(arena.served.restart()) == {"kill", "up"}
    for id, approve in (("yes", True), ("no", False)):
        assert arena.until(id, "waiting").asks is not None
        arena.decide(id, approve)
        assert arena.look(id).state == "running"
    arena.done()
    assert (arena.times("yes", "call"), arena.effects("yes")) == ([1, 1, 1], 1)
    assert (arena.times("no", "call"), arena.effects("no")) == ([1, 0, 1], 0)
    for id in arena.items:
        assert arena.times(id, "request") == [1] * 4


def test_a_deploy_loses_no_run_and_the_next_one_is_of_the_new_version(trial: Trial) -> None:
    items = (approval_item("over", "approve"), refund_item("new"))
    arena = trial(items)
    arena.submit("over")
    arena.until("over", "waiting")
    version(arena.place, 2)
    assert set(arena.served.deploy()) == {"commit", "deploy"}
    arena.decide("over", True)
    arena.submit("new")
    arena.done()
    assert [line.version for line in arena.lines("over", kind="request", event="started")] == ["1"] * 4
    assert [line.version for line in arena.lines("new", kind="request", event="started")] == ["2"] * 4
    assert (arena.effects("over"), arena.effects("new")) == (1, 1)


def test_a_store_that_is_away_for_a_while_is_waited_for(trial: Trial) -> None:
    arena = trial((refund_item("away"),), pace=SLOW)
    arena.submit()
    arenas.wait_until(
        lambda: arena.lines("away", kind="request", event="finished") != [], "the first request", timeout_seconds=90
    )
    arena.served.store_outage(8)
    arena.done()
    assert arena.effects("away") == 1
    assert arena.corrupted("away") == []


def test_only_what_it_needs_is_up(trial: Trial) -> None:
    commands = [" ".join(process.cmdline()) for process in marked(trial(()).place.mark)]
    assert any("worker start" in each for each in commands)
    # With a Docker on this machine these would be as well, and be counted as the arm's memory.
    assert not any("triptych.sandbox" in each or "brain_worker" in each for each in commands)


def test_what_it_does_not_know_it_says_so(trial: Trial) -> None:
    arena = trial((refund_item("never"),))
    assert arena.look("never").state == "unknown"
