"""What became of each step, where it is easy to get wrong."""

from __future__ import annotations

import pytest

from benchmarks.contract import Fault, Kind
from benchmarks.scoring.ledgers import (
    Step,
    by_item,
    faults_met,
    has_right_result,
    invocations,
    kill_that_was_missed,
    recovery_seconds,
    steps_of,
)
from tests.unit.benchmarks.scoring.building import APPROVED, DENIED, LOOK, REFUND, Course, item, right_course

TWO = item(LOOK, REFUND)


def step(course: Course, kind: Kind, number: int, *faults: Fault) -> Step:
    return next(each for each in steps_of(TWO, course.lines, faults) if (each.kind, each.step) == (kind, number))


def test_a_course_without_faults() -> None:
    steps = steps_of(TWO, right_course(TWO).lines)
    names = [(each.kind, each.step) for each in steps]
    assert names == [("request", 0), ("call", 0), ("request", 1), ("call", 1), ("request", 2)]
    assert {each[2:] for each in steps} == {(1, 1, False, False, False)}


def test_a_step_that_never_began_is_there() -> None:
    assert step(Course().request(0), "call", 1)[2:] == (0, 0, False, False, False)


def test_a_clients_retry_of_what_failed_is_not_executed_again() -> None:
    course = Course().request(0).failed("call", 0).failed("call", 0).call(0)
    assert step(course, "call", 0) == Step("call", 0, 3, 1, False, False, False)


def test_what_a_kill_cut_short_is_not_executed_again() -> None:
    course = Course().request(0).add("started", "call", 0).killed("call", 0, "received").call(0)
    assert step(course, "call", 0) == Step("call", 0, 2, 1, False, False, False)


@pytest.mark.parametrize("fault", ["kill/done", "timeout/done"])
def test_a_withheld_answer_is_executed_again_and_no_architecture_can_avoid_it(fault: str) -> None:
    course = Course().request(0).call(0, fault=fault).call(0)
    assert step(course, "call", 0) == Step("call", 0, 2, 2, True, True, False)


def test_an_answer_that_got_out_before_the_kill_could_have_been_kept() -> None:
    course = Course().request(0).call(0, fault="kill/answered").killed("call", 0, "answered").call(0)
    assert step(course, "call", 0) == Step("call", 0, 2, 2, True, False, False)


@pytest.mark.parametrize(
    ("seconds", "item", "unavoidable"), [(0.0, "i1", True), (0.02, "i1", False), (0.0, "i2", False)]
)
def test_a_kill_in_the_moment_of_the_answer_came_before_it_was_read(
    seconds: float, item: str, unavoidable: bool
) -> None:
    course = Course().request(0).call(0, fault="kill/answered").killed("call", 0, "answered").call(0)
    fault = Fault(item=item, kind="call", step=0, what="kill", when="answered", seconds=seconds)
    assert step(course, "call", 0, fault) == Step("call", 0, 2, 2, True, unavoidable, False)


def test_a_kill_that_was_missed_withheld_nothing_and_is_no_fault() -> None:
    course = Course().request(0).call(0, fault="kill/done").add("missed", "call", 0, fault="kill/done").call(0)
    assert step(course, "call", 0) == Step("call", 0, 2, 2, True, False, False)
    assert faults_met(course.lines) == 0


def test_once_unavoidable_and_once_not_is_not() -> None:
    course = Course().request(0).call(0, fault="kill/done").call(0).call(0)
    assert step(course, "call", 0) == Step("call", 0, 3, 3, True, False, False)


def test_begun_again_after_its_end_counts_also_where_it_came_to_nothing() -> None:
    course = Course().request(0).call(0).add("started", "call", 0)
    assert step(course, "call", 0) == Step("call", 0, 2, 1, True, False, False)


def test_two_side_by_side_that_both_were_done() -> None:
    course = Course().add("started", "call", 0).add("started", "call", 0)
    course.add("finished", "call", 0).add("finished", "call", 0)
    assert step(course, "call", 0) == Step("call", 0, 2, 2, True, False, False)


def test_lines_are_read_by_their_time() -> None:
    course = Course()
    for event in ("started", "first_token", "finished"):
        course.add(event, "request", 0, after=0.1)
    assert by_item(reversed(course.lines)) == {"i1": course.lines}


@pytest.mark.parametrize("wrong", [(0,), ()])
def test_a_result_that_a_later_request_has_not_is_corrupted(wrong: tuple[int, ...]) -> None:
    course = Course().request(0).call(0)
    course.request(1, wrong=wrong, missing=() if wrong else (0,)).call(1, effect=True).request(2)
    assert step(course, "call", 0).corrupted
    assert not step(course, "call", 1).corrupted
    assert has_right_result(0, course.lines)  # the last request had it


def test_a_call_that_is_only_done_later_was_not_corrupted_before() -> None:
    course = Course().request(0).failed("call", 0).request(1, wrong=(0,)).request(0).call(0).request(1)
    assert not step(course, "call", 0).corrupted


def test_the_last_request_says_whether_a_result_is_right() -> None:
    course = Course().request(0).call(0).request(1).call(1, effect=True)
    assert not has_right_result(1, course.lines)  # nobody has seen it
    assert has_right_result(1, course.request(2).lines)
    assert not has_right_result(1, course.request(2, wrong=(1,)).lines)


def test_faults_are_counted_by_attempt() -> None:
    course = Course().request(0, fault="slow/received").failed("call", 0).failed("call", 0).call(0)
    assert faults_met(course.lines) == 3
    assert faults_met(right_course(TWO).lines) == 0


def test_a_kill_that_was_missed_and_made_up_for_is_none() -> None:
    course = Course().request(0).add("started", "call", 0).add("missed", "call", 0)
    missed = kill_that_was_missed(course.lines)
    assert missed is not None
    assert (missed.kind, missed.step) == ("call", 0)
    course.add("started", "call", 0).killed("call", 0, "received")
    assert kill_that_was_missed(course.lines) is None


def test_an_invocation_begins_with_the_first_request_but_for_retries_of_it() -> None:
    course = Course().failed("request", 0, "rate_limit/received").request(0).call(0)
    assert invocations(course.lines) == 1
    assert invocations(course.killed("call", 0, "answered").request(0).lines) == 2


def test_recovery_is_from_the_kill_to_the_next_step() -> None:
    course = Course().request(0).add("started", "call", 0).killed("call", 0, "received").call(0)
    assert recovery_seconds(TWO, course.lines, None) == pytest.approx(2.0)
    course.add("killed", "call", 0).add("started", "request", 1, after=5.0)
    assert recovery_seconds(TWO, course.lines, None) == pytest.approx(5.0)  # the longest
    assert recovery_seconds(TWO, right_course(TWO).lines, None) is None


def test_recovery_that_never_came_is_infinite_and_one_after_the_last_step_ends_with_the_item() -> None:
    course = right_course(TWO).killed("request", 2, "answered")
    killed_at = course.lines[-1].at
    assert recovery_seconds(TWO, course.lines, None) == float("inf")
    assert recovery_seconds(TWO, course.lines, killed_at + 1.5) == pytest.approx(1.5)


def test_recovery_from_a_restart_is_from_there_to_the_next_step() -> None:
    # Requests of half a second and calls of a tenth: 101.0, 101.5, 101.6, 102.1, 102.2 to 102.7.
    lines = right_course(TWO).lines
    assert recovery_seconds(TWO, lines, None, restarts=[101.55]) == pytest.approx(0.05)
    assert recovery_seconds(TWO, lines, None, restarts=[101.55, 101.65]) == pytest.approx(0.45)  # the longest
    assert recovery_seconds(TWO, lines, None, restarts=[97.5]) == pytest.approx(3.5)  # to its first request
    killed_too = Course().request(0).killed("request", 0, "answered").call(0).lines
    assert recovery_seconds(TWO, killed_too, None, restarts=[100.9]) == pytest.approx(2.0)
    assert recovery_seconds(TWO, lines, None) is None


def test_recovery_from_a_restart_that_never_came_is_infinite_unless_it_was_done_by_then() -> None:
    lines = right_course(TWO).lines
    assert recovery_seconds(TWO, lines, None, restarts=[102.5]) == float("inf")
    assert recovery_seconds(TWO, lines, 106.5, restarts=[102.5]) == pytest.approx(4.0)
    assert recovery_seconds(TWO, [], None, restarts=[102.5]) == float("inf")


@pytest.mark.parametrize(
    ("waits", "seconds"),
    [
        ([(101.0, 109.0)], None),  # it waited when it was struck
        ([(102.0, 109.0)], None),  # it had asked just before, and nobody had seen it
        ([(101.0, 101.4)], 8.4),  # it had its answer, and had not gone on
        ([(111.0, 112.0)], 8.4),  # it had recovered when it asked
    ],
)
def test_a_wait_is_no_recovery_wherever_the_arm_goes_on_from(
    waits: list[tuple[float, float]], seconds: float | None
) -> None:
    """A function that was answered begins anew, with a step that follows no question."""
    lines = Course().request(0).request(0).lines
    lines = [line.model_copy(update={"at": line.at + 8.5}) if number > 2 else line for number, line in enumerate(lines)]
    found = recovery_seconds(item(APPROVED), lines, None, restarts=[101.6], waits=waits)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_persons_time_is_no_recovery() -> None:
    before = Course().request(0).killed("request", 0, "answered")
    assert recovery_seconds(item(APPROVED), before.call(0).lines, None) is None
    denied = Course().request(0).killed("request", 0, "answered").request(1)
    assert recovery_seconds(item(DENIED), denied.lines, None) is None
    assert recovery_seconds(item(APPROVED), before.call(0).lines, None, restarts=[102.0]) is None
    over = Course().request(0).killed("request", 0, "answered").request(0)
    assert recovery_seconds(item(APPROVED), over.lines, None) == pytest.approx(2.0)
