"""What the harness failed at is scored against nobody, and is said."""

from __future__ import annotations

from benchmarks.contract import Happening, Parts
from benchmarks.scoring.frames import ARM_FAILURES, LEFT_OUT
from tests.unit.benchmarks.scoring.building import APPROVED, LOOK, Course, frames_of, item, only, right_course, trial

ONE, TWO = item(LOOK), item(LOOK, id="i2")


def test_a_trial_in_which_the_harness_failed() -> None:
    good = trial((ONE, right_course(ONE)))
    failed = trial((ONE, Course()), (TWO, Course()), round=1, harness_failure="the world is gone")
    frames = frames_of(good, failed)
    assert set(frames.items["round"]) == set(frames.steps["round"]) == set(frames.use["round"]) == {0}
    row = only(frames.left_out)
    assert list(row) == list(LEFT_OUT)
    assert (row["items"], row["item"], row["round"]) == (2, "", 1)
    assert "the world is gone" in row["reason"]


def test_an_item_whose_process_was_not_found() -> None:
    course = Course().request(0).add("missed", "request", 0).call(0).request(1)
    frames = frames_of(trial((ONE, course), (TWO, right_course(TWO))))
    assert set(frames.items["item"]) == set(frames.steps["item"]) == {"i2"}
    row = only(frames.left_out)
    assert (row["items"], row["item"]) == (1, "i1")
    assert "request 0" in row["reason"]


def test_an_item_that_was_never_handed_in() -> None:
    whole = trial((ONE, right_course(ONE)), (TWO, right_course(TWO)))
    frames = frames_of(whole.model_copy(update={"came_of": whole.came_of[:1]}))
    assert set(frames.items["item"]) == {"i1"}
    assert only(frames.left_out)["item"] == "i2"


RESTART = (Happening(what="restart", after_share=0.5),)


def test_a_trial_that_its_plan_did_not_strike() -> None:
    spared = trial((ONE, right_course(ONE)), plan="restart", happenings=RESTART, struck=())
    frames = frames_of(spared, trial((ONE, right_course(ONE)), plan="restart", happenings=RESTART, round=1))
    assert set(frames.items["round"]) == {1}
    row = only(frames.left_out)
    assert (row["items"], row["item"], row["round"]) == (1, "", 0)
    assert "the plan's restart never struck" in row["reason"]


def test_an_arm_that_asks_nobody_counts_where_people_would_have_been_asked_when_it_struck() -> None:
    paid = item(APPROVED)
    unasked = trial((paid, right_course(paid)), plan="restart", happenings=RESTART, struck=())
    frames = frames_of(unasked)
    assert frames.left_out.empty
    assert (only(frames.effects)["unasked"], only(frames.items)["silent_failure"]) == (1, True)
    asked = frames_of(unasked.model_copy(update={"came_of": (unasked.came_of[0].model_copy(update={"asked": 1}),)}))
    assert "never struck" in only(asked.left_out)["reason"]


def test_what_the_arm_could_not_do_counts() -> None:
    gone = (TWO, Course("i2").request(0))
    of = trial(
        (ONE, right_course(ONE)),
        gone,
        states={"i2": "unknown"},
        happenings=RESTART,
        struck=(),
        deploys=(Parts(parts={}, serving_seconds=None, lost=1),),
        arm_failure="it did not come back",
    )
    frames = frames_of(of)
    assert list(frames.items["state"]) == ["done", "unknown"]
    assert list(frames.steps.loc[frames.steps["item"] == "i2", "lost"]) == [True, False, False]
    assert list(frames.deploys["minutes"]) == [float("inf")]
    assert frames.left_out.empty
    row = only(frames.arm_failures)
    assert list(row) == list(ARM_FAILURES)
    assert (row["plan"], row["what"]) == ("none", "it did not come back")
    assert frames_of(trial((ONE, right_course(ONE)))).arm_failures.empty


def test_all_is_well() -> None:
    assert frames_of(trial((ONE, right_course(ONE)))).left_out.empty
