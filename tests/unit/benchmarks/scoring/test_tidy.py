"""Laws of all frames, whatever happened."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.contract import State, Trial
from benchmarks.scoring.summing_up import measure
from tests.unit.benchmarks.scoring.building import LOOK, REFUND, Course, frames_of, item, trial

TWO = item(LOOK, REFUND)
STATES: Sequence[State] = ("done", "failed", "running", "unknown")
NOTHING: tuple[int, ...] = ()


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Any steps in any order, as an arm that has lost its way might make them."""
    course = Course()
    for _ in range(draw(st.integers(0, 8))):
        step = draw(st.integers(0, 1))
        what = draw(st.sampled_from(["request", "call", "failed", "withheld", "killed"]))
        if what == "request":
            course.request(step + 1, wrong=draw(st.sampled_from([NOTHING, (0,), (1,)])))
        elif what == "call":
            course.call(step, effect=step == 1)
        elif what == "failed":
            course.failed("call", step)
        elif what == "withheld":
            course.call(step, effect=step == 1, fault="kill/done")
        else:
            course.add("started", "call", step).killed("call", step, "received")
    return course


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    return trial(
        (TWO, draw(courses())),
        arm=draw(st.sampled_from(["layered", "while_loop"])),
        plan=draw(st.sampled_from(["none", "kills"])),
        round=draw(st.integers(0, 2)),
        states={"i1": draw(st.sampled_from(STATES))},
        harness_failure=draw(st.sampled_from([None, None, None, "the world is gone"])),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(trials(), max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_trials_leaves_no_trace(of: list[Trial], random: Random) -> None:
    shuffled = list(of)
    random.shuffle(shuffled)
    first, second = frames_of(*of), frames_of(*shuffled)
    for name, one in first._asdict().items():
        pd.testing.assert_frame_equal(one, second._asdict()[name])
    pd.testing.assert_frame_equal(measure(first, count=5), measure(second, count=5))


@settings(max_examples=100, deadline=None)
@given(trials())
def test_a_completed_step_is_kept_or_has_a_reason_why_not(of: Trial) -> None:
    steps = frames_of(of).steps
    reasons = steps["executed_again"] | steps["corrupted"] | steps["lost"]
    assert (steps["completed"] == (steps["kept"] | reasons)).all()
    assert not (steps["kept"] & reasons).any()
    assert (steps["unavoidable"] <= steps["executed_again"]).all()
    assert ((steps["finished_times"] > 0) == steps["completed"]).all()
    assert (steps["attempts"] >= steps["finished_times"]).all()


@settings(max_examples=100, deadline=None)
@given(trials())
def test_a_successful_effect_was_made_once_and_a_silent_failure_ended_done(of: Trial) -> None:
    frames = frames_of(of)
    effects = frames.effects
    assert (effects.loc[effects["success"], "applied"] == 1).all()
    assert (frames.items.loc[frames.items["silent_failure"], "state"] == "done").all()
    assert len(frames.items) + frames.left_out["items"].sum() == 1
