"""An item's course: what its calls are told, how a history is judged, and which step a call is."""

from __future__ import annotations

import json

import pytest

from benchmarks.contract import Action
from benchmarks.world.course import Course
from benchmarks.world.messages import Answered
from benchmarks.world.tools import BadCall
from tests.unit.benchmarks.world.playing import LOOK, REFUND, item

DENIED = REFUND.model_copy(update={"approval": "deny", "changes": False})


def course(*actions: Action) -> Course:
    return Course(item("a", *actions))


def answered(of: Course, *steps: int) -> list[Answered]:
    return [Answered(of.item.actions[step].name, of.item.actions[step].arguments, of.results[step]) for step in steps]


def refunds(result: str) -> int:
    return sum(entry["transaction_type"] == "refund" for entry in json.loads(result)["payment_history"])


def test_results_follow_from_the_calls_before() -> None:
    assert [refunds(result) for result in course(LOOK, REFUND, LOOK).results] == [0, 1, 1]


def test_a_denied_call_is_not_made() -> None:
    results = course(LOOK, DENIED, LOOK).results
    assert results[1] == ""
    assert results[2] == results[0]


def test_the_right_history_is_right() -> None:
    of = course(LOOK, REFUND, LOOK)
    assert of.judge(answered(of, 0, 1, 2)) == ((), ())
    assert of.judge([]) == ((), ())


def test_a_result_is_right_as_json_or_as_text() -> None:
    of = course(LOOK)
    (right,) = answered(of, 0)
    spelled = json.dumps(json.loads(right.result), indent=2, sort_keys=True)
    for result in (spelled, json.dumps(right.result)):
        assert of.judge([right._replace(result=result)]).wrong == ()
    for result in ("", "Error: the shop did not answer", "{}"):
        assert of.judge([right._replace(result=result)]).wrong == (0,)


def test_what_is_said_about_a_denied_call_is_right() -> None:
    of = course(LOOK, DENIED)
    first, denied = answered(of, 0, 1)
    assert of.judge([first, denied._replace(result="A person said no.")]) == ((), ())


def test_a_call_that_is_not_there_is_missing() -> None:
    of = course(LOOK, REFUND, LOOK)
    assert of.judge(answered(of, 1)) == ((), (0,))
    assert of.judge(answered(of, 0, 2)).missing == (1,)
    unknown = Answered("think", {"thought": "?"}, "")
    assert of.judge([unknown, *answered(of, 1)]) == ((), (0,))


def test_amounts_are_numbers_and_not_texts() -> None:
    of = course(REFUND)
    (right,) = answered(of, 0)
    assert of.judge([right._replace(arguments={"amount": 100.0, "order_id": "#T1009"})]) == ((), ())
    of.hand_out(0)
    assert of.step_of("refund", {"order_id": "#T1009", "amount": 100.0}) == 0


def test_a_call_is_the_step_that_was_handed_out() -> None:
    of = course(LOOK, REFUND, LOOK)
    for turn in (0, 1, 2):
        of.hand_out(turn)
        assert of.step_of(of.item.actions[turn].name, of.item.actions[turn].arguments) == turn


def test_a_call_from_before_is_the_latest_of_its_kind() -> None:
    of = course(LOOK, LOOK, REFUND, LOOK)
    for turn in (0, 1, 2, 3, 2):
        of.hand_out(turn)
    assert of.step_of(LOOK.name, LOOK.arguments) == 1


def test_a_call_of_an_execution_beside_is_its_step() -> None:
    of = course(LOOK, REFUND)
    for turn in (0, 1, 0):
        of.hand_out(turn)
    assert of.step_of(REFUND.name, REFUND.arguments) == 1
    assert of.step_of(LOOK.name, LOOK.arguments) == 0


def test_a_call_that_was_never_handed_out_is_refused() -> None:
    of = course(LOOK, REFUND)
    with pytest.raises(BadCall, match="has not called for order_lookup"):
        of.step_of(LOOK.name, LOOK.arguments)
    of.hand_out(0)
    with pytest.raises(BadCall, match="has not called for refund"):
        of.step_of(REFUND.name, REFUND.arguments)


def test_attempts_are_counted_for_each_step() -> None:
    of = course(LOOK)
    assert [of.begin("call", 0), of.begin("call", 0), of.begin("request", 0)] == [1, 2, 1]


def test_a_refusal_is_worked_out_anew_under_its_key() -> None:
    of = course(REFUND)
    much = {"order_id": "#T1009", "amount": 1e6}
    assert of.do("refund", much, "one") == of.do("refund", much, "one")
    assert of.do("refund", dict(REFUND.arguments), "one").applied
