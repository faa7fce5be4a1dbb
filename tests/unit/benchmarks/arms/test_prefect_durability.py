"""Pydantic-ai's own durability on Prefect, in the real world: what it holds, and that the arm is driven as it says."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from benchmarks.contract import Fault
from tests.unit.benchmarks.arms import arena as arenas
from tests.unit.benchmarks.arms.arena import SLOW, World, approval_item, refund_item, version
from tests.unit.benchmarks.arms.one_stack import RECOVERY_SECONDS, Trial, one_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(world: World, tmp_path_factory: pytest.TempPathFactory) -> Generator[Trial]:
    with one_stack(world, tmp_path_factory.mktemp("prefect_durability"), "prefect_durability") as trial:
        yield trial


@pytest.fixture
def trial(stack: Trial, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(arenas, "DEADLINE_SECONDS", RECOVERY_SECONDS)
    return stack


def test_undisturbed_items_are_done_with_each_step_taken_once(trial: Trial) -> None:
    arena = trial((refund_item("calm-1"), refund_item("calm-2")))
    arena.submit()
    arena.done()
    for id in arena.items:
        assert (arena.times(id, "request"), arena.times(id, "call")) == ([1] * 4, [1] * 3)
        assert arena.effects(id) == 1
        assert arena.corrupted(id) == []


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


def test_a_killed_run_is_scheduled_again_and_reads_what_it_had(trial: Trial) -> None:
    kill = Fault(item="effect", kind="call", step=1, what="kill", when="done")
    arena = trial((refund_item("effect"),), kill, pace=SLOW)
    arena.submit()
    arena.done()
    assert arena.lines("effect", event="killed") != []
    assert arena.effects("effect") == 1


def test_a_person_decides(trial: Trial) -> None:
    items = (approval_item("yes", "approve"), approval_item("no", "deny"))
    arena = trial(items)
    arena.submit()
    for id in arena.items:
        assert arena.until(id, "waiting").asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
        arena.decide(id, id == "yes")
    arena.done()
    assert (arena.times("yes", "call"), arena.effects("yes")) == ([1, 1, 1], 1)
    assert (arena.times("no", "call"), arena.effects("no")) == ([1, 0, 1], 0)
    for id in arena.items:
        assert arena.times(id, "request") == [1] * 4


def test_what_waits_for_a_person_waits_through_a_power_cut(trial: Trial) -> None:
    arena = trial((approval_item("still", "approve"),))
    arena.submit()
    arena.until("still", "waiting")
    assert set(arena.served.restart()) == {"kill", "start"}
    # No more is held: where the automation takes a run for dead that is resumed, the answer is lost with Prefect's
    # pause keys, and no second one is taken (HTTP 409).
    assert arena.until("still", "waiting").asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
    assert arena.times("still", "call") == [1, 0, 0]


def test_a_deploy_is_in_force_for_the_next_run(trial: Trial) -> None:
    arena = trial((refund_item("new"),))
    version(arena.place, 2)
    assert set(arena.served.deploy()) == {"deploy"}
    arena.submit("new")
    arena.done()
    assert {line.version for line in arena.lines("new", kind="request", event="started")} == {"2"}
