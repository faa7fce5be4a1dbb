from __future__ import annotations

import pytest

from benchmarks.arms.protocol import Look
from benchmarks.contract import Action, Item
from benchmarks.harness.person import STALE_SECONDS, Asked, told

REFUND = {"order_id": "#T1", "amount": 600.0}
CALL = told("refund", dict(REFUND))
WAITING, RUNNING = Look("waiting", asks=CALL), Look("running")


def asked(approval: str = "approve", hours: float = 1.0) -> Asked:
    action = Action.model_validate({"name": "refund", "arguments": REFUND, "changes": True, "approval": approval})
    item = Item(id="a-1", workload="approvals", instruction="", actions=(action,), answer="", wait_hours=hours)
    return Asked(item, time_scale=3600.0)


def test_a_person_takes_the_item_s_time_and_then_answers() -> None:
    person = asked(hours=2.0)
    assert person.look(WAITING, 10.0) is None
    assert person.is_waiting
    assert person.look(WAITING, 11.9) is None
    assert person.look(WAITING, 12.0) is True
    assert (person.asked, person.asked_again, person.waited_seconds) == (1, 0, pytest.approx(2.0))
    assert not person.is_waiting


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
