from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.arms.protocol import Look
from benchmarks.contract import Action, Decision, Item, told
from benchmarks.harness.person import OPEN_AT_THE_LATEST_SECONDS, STALE_SECONDS, Asked, Desk

REFUND = {"order_id": "#T1", "amount": 600.0}
CALL = told("refund", dict(REFUND))
WAITING, RUNNING = Look("waiting", asks=CALL), Look("running")


def asked(approval: str = "approve", hours: float = 1.0, desk: Desk | None = None) -> Asked:
    action = Action.model_validate({"name": "refund", "arguments": REFUND, "changes": True, "approval": approval})
    item = Item(id="a-1", workload="approvals", instruction="", actions=(action,), answer="", wait_hours=hours)
    return Asked(item, time_scale=3600.0, desk=desk or Desk(opened_at=0.0))


def test_a_person_takes_the_item_s_time_and_then_answers() -> None:
    person = asked(hours=2.0)
    assert person.look(WAITING, 10.0) is None
    assert person.is_waiting
    assert person.look(WAITING, 11.9) is None
    assert person.look(WAITING, 12.0) is True
    assert (person.asked, person.asked_again, person.waits(50.0)) == (1, 0, ((10.0, 12.0),))
    assert not person.is_waiting
    assert person.decisions == [Decision(at=12.0, call=CALL, approve=True)]


def test_a_persons_time_runs_from_the_opening_or_from_the_question_whichever_is_later() -> None:
    desk = Desk()
    early, late = asked(hours=2.0, desk=desk), asked(hours=2.0, desk=desk)
    assert early.look(WAITING, 10.0) is None
    assert early.look(WAITING, 90.0) is None
    desk.opened_at = 100.0
    assert early.look(WAITING, 101.9) is None
    assert early.look(WAITING, 102.0) is True
    assert late.look(WAITING, 101.0) is None
    assert late.look(WAITING, 102.9) is None
    assert late.look(WAITING, 103.0) is True
    assert (early.waits(200.0), late.waits(200.0)) == (((10.0, 102.0),), ((101.0, 103.0),))


def test_a_wait_that_is_cut_short_or_not_over_is_one_too() -> None:
    person = asked(hours=9.0)
    person.look(WAITING, 10.0)
    person.look(RUNNING, 14.0)
    person.look(WAITING, 20.0)
    assert person.waits(23.0) == ((10.0, 14.0), (20.0, 23.0))


def looks(desk: Desk, *waiting: bool, times: Sequence[float]) -> list[tuple[bool, bool]]:
    """Whether it was quiet, and open, after each look at the same items."""
    seen: list[tuple[bool, bool]] = []
    for now in times:
        desk.look(waiting, now)
        seen.append((desk.is_quiet, desk.opened_at is not None))
    return seen


def test_the_desk_opens_once_all_have_waited_and_been_read() -> None:
    desk = Desk()
    assert looks(desk, True, False, times=[0.0, 50.0]) == [(False, False)] * 2
    # The other one has ended, or waits as well, from 60.0 on.
    seen = looks(desk, True, True, times=[60.0, 61.9, 62.0, 64.9, 65.0])
    assert seen == [(False, False), (False, False), (True, False), (True, False), (True, True)]
    assert desk.opened_at == 65.0


def test_it_may_be_read_for_longer() -> None:
    seen = looks(Desk(read_seconds=30.0), True, times=[0.0, 31.9, 32.0])
    assert seen == [(False, False), (True, False), (True, True)]


def test_one_that_goes_on_meanwhile_keeps_it_closed() -> None:
    desk = Desk()
    looks(desk, True, True, times=[0.0, 4.9])
    assert looks(desk, True, False, times=[5.0]) == [(False, False)]
    assert looks(desk, True, True, times=[5.1, 10.0, 10.2]) == [(False, False), (True, False), (True, True)]


def test_it_stays_open_and_is_quiet_again_whenever_all_wait() -> None:
    desk = Desk()
    looks(desk, True, True, times=[0.0, 5.0])
    assert looks(desk, True, False, times=[6.0]) == [(False, True)]
    assert looks(desk, True, times=[7.0, 8.9, 9.0]) == [(False, True), (False, True), (True, True)]
    assert looks(desk, times=[10.0, 20.0]) == [(False, True)] * 2
    assert desk.opened_at == 5.0


def test_one_that_is_stuck_does_not_hold_all_others_up() -> None:
    desk = Desk()
    looks(desk, False, False, times=[0.0, 1000.0])
    at = 1001.0 + OPEN_AT_THE_LATEST_SECONDS
    assert looks(desk, True, False, times=[1001.0, at - 0.1, at]) == [(False, False), (False, False), (False, True)]


def test_nothing_is_quiet_for_a_while_after_something_was_done_to_all() -> None:
    desk = Desk()
    looks(desk, True, times=[0.0, 4.0])
    desk.disturb()
    assert not desk.is_quiet
    assert looks(desk, True, times=[30.0, 31.9, 32.0, 35.0])[1:] == [(False, False), (True, False), (True, True)]


def test_a_person_denies_what_is_to_be_denied_and_whatever_else_they_are_asked() -> None:
    assert asked("deny", 0).look(WAITING, 0.0) is False
    assert asked(hours=0).look(Look("waiting", asks=told("refund", {**REFUND, "amount": 6000.0})), 0.0) is False


def test_an_answer_that_is_on_its_way_is_not_asked_again() -> None:
    person = asked(hours=0)
    assert person.look(WAITING, 0.0) is True
    assert person.look(WAITING, 1.0) is None
    assert person.asked == 1


@pytest.mark.parametrize("meanwhile", [RUNNING, None])
def test_the_same_call_asked_anew_is_counted(meanwhile: Look | None) -> None:
    """An arm that went on in between has lost the answer; one that stands still for long has not taken it."""
    person = asked(hours=0)
    assert person.look(WAITING, 0.0) is True
    if meanwhile is not None:
        person.look(meanwhile, 1.0)
    assert person.look(WAITING, STALE_SECONDS + 1) is True
    assert (person.asked, person.asked_again) == (2, 1)
    assert [decision.at for decision in person.decisions] == [0.0, STALE_SECONDS + 1]
