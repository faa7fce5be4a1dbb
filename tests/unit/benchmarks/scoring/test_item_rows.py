"""The rows of one item, by cases computed by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from benchmarks.contract import Action, Decision, Fault, Happening, ItemTrial, State, Struck
from benchmarks.scoring.frames import EFFECTS, ITEMS, STEPS
from tests.unit.benchmarks.scoring.building import (
    APPROVED,
    CODE,
    DENIED,
    LOOK,
    REFUND,
    Course,
    decision,
    frames_of,
    item,
    only,
    right_course,
    trial,
)

TWO = item(LOOK, REFUND)


def test_an_item_by_hand() -> None:
    row = only(frames_of(trial((TWO, right_course(TWO)))).items)
    assert list(row) == list(ITEMS)
    # Three requests of 0.5 s and two calls of 0.1 s from 101.0 on; 1000 tokens in at $0.25 a million, 100 out at $2.
    expected = {
        "state": "done",
        "ended": True,
        "answer_right": True,
        "seconds": 2.7,
        "first_token_ms": 1200.0,
        "overhead_ms": 1000.0,
        "requests_paid": 3,
        "input_tokens": 3000,
        "output_tokens": 300,
        "cost_tokens_usd": 3 * (1000 * 0.25 + 100 * 2) / 1e6,
        # 4 s of CPU at a cent, 30 GiB-seconds at 0.2 cents.
        "cost_compute_usd": 0.10,
        "cost_idle_usd": 0.0,
        "crashes": 0.0,
        "killed": 0,
        "faults": 0.0,
        "silent_failure": False,
        "runs_code": False,
        "credential_taken": False,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["recovery_seconds"] != row["recovery_seconds"]


def test_an_item_that_never_reached_the_model() -> None:
    frames = frames_of(trial((TWO, Course()), more={"ended_at": None, "answer": None}, states={"i1": "running"}))
    row = only(frames.items)
    assert not row["ended"]
    assert not row["answer_right"]
    for name in ("ended_at", "seconds", "first_token_ms", "overhead_ms"):
        assert row[name] != row[name], name


def test_what_strikes_a_whole_trial_is_shared_out_among_its_items() -> None:
    other = item(LOOK, id="i2")
    course = Course().request(0).add("started", "call", 0, fault="kill/received").killed("call", 0, "received").call(0)
    happenings = (Happening(what="restart", after_share=0.5), Happening(what="deploy", after_share=0.5))
    struck = (Struck(what="restart", at=99.0, until=99.5), Struck(what="deploy", at=99.0, until=99.5))
    of = trial((TWO, course), (other, right_course(other)), happenings=happenings, struck=struck)
    frames = frames_of(of)
    first, second = only(frames.items, item="i1"), only(frames.items, item="i2")
    assert (first["killed"], first["crashes"], first["faults"]) == (1, 1.5, 2.0)
    assert (second["killed"], second["crashes"], second["faults"]) == (0, 0.5, 1.0)
    assert first["cost_compute_usd"] == second["cost_compute_usd"] == pytest.approx(0.05)
    assert first["recovery_seconds"] == pytest.approx(2.0)
    # What was to strike and did not is no crash and no fault.
    spared = only(frames_of(of.model_copy(update={"struck": (), "arm_failure": "it is gone"})).items, item="i2")
    assert (spared["crashes"], spared["faults"]) == (0.0, 0.0)


def test_what_it_waited_is_added_up() -> None:
    frames = frames_of(trial((TWO, right_course(TWO)), more={"waits": ((101.0, 103.5), (105.0, 106.0))}))
    assert only(frames.items)["waited_seconds"] == pytest.approx(3.5)
    assert only(frames_of(trial((TWO, right_course(TWO)))).items)["waited_seconds"] == 0.0


@pytest.mark.parametrize(
    ("what", "at", "more", "seconds"),
    [
        ("restart", 101.55, {}, 0.05),
        ("restart", 100.5, {}, 0.5),  # before its first request
        ("restart", 102.5, {"ended_at": 104.0}, 1.5),
        ("restart", 102.5, {"ended_at": None, "state": "running"}, float("inf")),
        ("restart", 99.0, {}, None),  # it was not handed in yet
        ("restart", 105.0, {}, None),  # it was over
        ("restart", 101.55, {"waits": ((101.5, 101.6),)}, None),
        ("deploy", 101.55, {}, None),
        ("store_outage", 101.55, {}, None),
    ],
)
def test_recovery_from_what_struck_the_whole_arm(
    what: Literal["deploy", "restart", "store_outage"], at: float, more: dict[str, Any], seconds: float | None
) -> None:
    of = trial((TWO, right_course(TWO)), struck=(Struck(what=what, at=at, until=at + 9),))
    came_of = ItemTrial.model_validate({**of.came_of[0].model_dump(), **more})
    found = only(frames_of(of.model_copy(update={"came_of": (came_of,)})).items)["recovery_seconds"]
    assert found == pytest.approx(float("nan") if seconds is None else seconds, nan_ok=True)


def test_steps_by_hand() -> None:
    # Begun again from the start after a kill; what the look-up found is wrong then, and later what the refund said.
    course = Course().request(0).call(0).killed("call", 0, "answered").request(0).call(0).request(1, wrong=(0,))
    frames = frames_of(trial((TWO, course.call(1, effect=True).request(2, wrong=(1,)))))
    assert list(frames.steps.columns) == list(STEPS)
    flags = ("completed", "executed_again", "corrupted", "lost", "kept", "unavoidable")
    assert [tuple(row[name] for name in flags) for row in frames.steps.to_dict("records")] == [
        (True, True, False, False, False, False),
        (True, True, True, False, False, False),
        (True, False, False, False, True, False),
        (True, False, True, False, False, False),
        (True, False, False, False, True, False),
    ]


def test_the_plan_says_which_kill_came_in_the_moment_of_the_answer() -> None:
    course = Course().request(0, fault="kill/answered").killed("request", 0, "answered").request(0)
    of = trial((TWO, course))
    fault = Fault(item="i1", kind="request", step=0, what="kill", when="answered")
    known = of.model_copy(update={"plan": of.plan.model_copy(update={"faults": (fault,)})})
    assert not only(frames_of(of).steps, kind="request", step=0)["unavoidable"]
    assert only(frames_of(known).steps, kind="request", step=0)["unavoidable"]


@pytest.mark.parametrize("state", ["failed", "running", "waiting", "unknown"])
def test_what_was_completed_in_a_run_that_did_not_end_done_is_lost(state: State) -> None:
    frames = frames_of(trial((TWO, Course().request(0).call(0)), states={"i1": state}))
    assert list(frames.steps["completed"]) == [True, True, False, False, False]
    assert list(frames.steps["lost"]) == [True, True, False, False, False]
    assert not frames.steps["kept"].any()


def effect(action: Action, course: Course) -> dict[str, Any]:
    return only(frames_of(trial((item(action), course))).effects)


def test_effects_by_hand() -> None:
    good = effect(REFUND, Course().request(0).call(0, effect=True).request(1))
    assert list(good) == list(EFFECTS)
    assert (good["tool"], good["intended"], good["applied"], good["success"]) == ("refund", 1, 1, True)
    twice = effect(REFUND, Course().request(0).call(0, effect=True).call(0, effect=True).request(1))
    assert (twice["applied"], twice["success"]) == (2, False)
    never = effect(REFUND, Course().request(0).failed("call", 0).request(1, missing=(0,)))
    assert (never["applied"], never["success"]) == (0, False)
    denied = effect(DENIED, Course().request(0).call(0, effect=True).request(1))
    assert (denied["intended"], denied["applied"], denied["success"]) == (0, 1, False)


def test_a_repeated_call_that_the_key_made_one_effect_is_a_success() -> None:
    row = effect(REFUND, Course().request(0).call(0, effect=True, fault="kill/done").call(0).request(1))
    assert (row["applied"], row["success"]) == (1, True)


def test_what_a_person_denied_and_nobody_did_is_no_effect() -> None:
    assert frames_of(trial((item(DENIED), right_course(item(DENIED))))).effects.empty


GOOD = Course().request(0).call(0, effect=True).request(1)


def test_an_effect_that_a_person_has_to_approve_succeeds_once_they_have() -> None:
    """GOOD: its effect is made at 101.55."""
    of = trial((item(APPROVED), GOOD))

    def found(*decisions: Decision) -> tuple[bool, int, bool, bool]:
        came = of.came_of[0].model_copy(update={"decisions": decisions})
        frames = frames_of(of.model_copy(update={"came_of": (came,)}))
        row = only(frames.effects)
        return row["needs_person"], row["unasked"], row["success"], only(frames.items)["silent_failure"]

    other = REFUND.model_copy(update={"arguments": {"order_id": "W1", "amount": 21}})
    assert found(decision(APPROVED)) == (True, 0, True, False)
    assert found(decision(APPROVED, approve=False), decision(APPROVED, at=101.5)) == (True, 0, True, False)
    assert found() == (True, 1, False, True)
    assert found(decision(APPROVED, at=101.6)) == (True, 1, False, True)
    assert found(decision(APPROVED, approve=False)) == (True, 1, False, True)
    assert found(decision(other)) == (True, 1, False, True)
    nobody = only(frames_of(trial((item(REFUND), GOOD))).effects)
    assert (nobody["needs_person"], nobody["unasked"]) == (False, 0)


@pytest.mark.parametrize(
    ("action", "course", "silent"),
    [
        (REFUND, Course().request(0).call(0, effect=True).request(1), False),
        (REFUND, Course().request(0).call(0, effect=True).call(0, effect=True).request(1), True),
        (REFUND, Course().request(0).failed("call", 0).request(1, missing=(0,)), True),
        (REFUND, Course().request(0).call(0, effect=True).request(1, wrong=(0,)), True),
        (APPROVED, Course().request(0).call(0, effect=True).request(1), False),
        (DENIED, Course().request(0).request(1), False),
        (DENIED, Course().request(0).call(0, effect=True).request(1), True),
        (LOOK, Course().request(0).call(0).call(0).request(1, wrong=(0,)), False),
        (LOOK, Course().request(0).request(1), True),
        (LOOK, Course().request(0).failed("call", 0).request(1, wrong=(0,)), True),
        (LOOK, Course().request(0).failed("call", 0).call(0).failed("request", 1).request(1), False),
        (LOOK, Course().request(0).call(0).killed("call", 0, "answered").request(0).call(0).request(1), False),
        (LOOK, Course().request(0).call(0), True),
        (LOOK, Course().request(0).call(0).add("started", "request", 1), True),
        (CODE, Course().request(0).request(1), False),
        (CODE, Course().request(0).request(1, wrong=(0,)), True),
        (CODE, Course().request(0).request(1, missing=(0,)), True),
    ],
    ids=[
        "right",
        "doubled",
        "lost",
        "told wrong",
        "approved",
        "denied",
        "made though denied",
        "no effect",
        "a look-up skipped",
        "a look-up given up",
        "retries of clients",
        "begun anew",
        "without the last request",
        "without its answer",
        "code",
        "code told wrong",
        "code not told",
    ],
)
def test_a_silent_failure_ends_done_without_having_done_its_course_rightly(
    action: Action, course: Course, silent: bool
) -> None:
    said = {"decisions": (decision(action, approve=action.approval == "approve"),)}
    assert only(frames_of(trial((item(action), course), more=said)).items)["silent_failure"] is silent
    loud = frames_of(trial((item(action), course), states={"i1": "failed"}))
    assert only(loud.items)["silent_failure"] is False


@pytest.mark.parametrize("answer", [None, "", "Something else."])
def test_another_answer_than_the_right_one_is_a_silent_failure(answer: str | None) -> None:
    of = trial((TWO, right_course(TWO)), more={"answer": answer})
    assert only(frames_of(of).items)["silent_failure"]
    assert not only(frames_of(trial((TWO, right_course(TWO)), more={"answer": " Done.\n"})).items)["silent_failure"]
