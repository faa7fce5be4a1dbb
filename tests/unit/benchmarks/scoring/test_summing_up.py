"""Intervals, pooled plans, and differences that are or are not there."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from benchmarks.contract import State, Trial
from benchmarks.scoring.measures import MEASURES
from benchmarks.scoring.summing_up import difference, measure
from tests.unit.benchmarks.scoring.building import LOOK, Course, frames_of, item, only, right_course, trial, used

ITEMS = [item(LOOK, id=f"i{number}") for number in range(10)]
DONE = "runs_done_rate"


def of(arm: str, done: int, *, round: int = 0, plan: str = "kills", memory: float = 300.0) -> Trial:
    """Ten items, so many of them done."""
    states: dict[str, State] = {each.id: "failed" for each in ITEMS[done:]}
    each = [(item, right_course(item)) for item in ITEMS]
    return trial(*each, arm=arm, plan=plan, round=round, states=states, used=used(peak_memory_mib=memory))


def held(*trials: Trial, measure: str = DONE, a: str = "a", b: str = "b", plan: str = "kills") -> dict[str, object]:
    return only(difference(frames_of(*trials), a, b), measure=measure, plan=plan)


def test_all_faults_pool_every_plan_but_none() -> None:
    measures = measure(frames_of(of("a", 10, plan="none"), of("a", 5), of("a", 9, plan="deploy")))
    by_plan = {plan: only(measures, measure=DONE, plan=plan)["value"] for plan in ("none", "kills", "deploy")}
    assert by_plan == {"none": 100.0, "kills": 50.0, "deploy": 90.0}
    pooled = only(measures, measure=DONE, plan="all faults")
    assert (pooled["value"], pooled["n"]) == (70.0, 20)
    quiet = measure(frames_of(of("a", 10, plan="none")))
    assert "all faults" not in set(quiet["plan"])


def test_an_interval_holds_the_value_and_comes_again() -> None:
    frames = frames_of(*(of("a", done, round=at) for at, done in enumerate((4, 6, 8))))
    first, again, other = measure(frames), measure(frames), measure(frames, seed=1)
    row = only(first, measure=DONE, plan="kills")
    assert 20 < row["low"] < 50 < row["value"] == 60 < 70 < row["high"] < 95
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize("name", [each.name for each in MEASURES if each.noise == "rounds"])
def test_in_one_round_nothing_tells_what_the_machine_did_and_only_counts_have_an_interval(name: str) -> None:
    pooled = frames_of(*(of(arm, 5, plan=plan) for arm in "ab" for plan in ("kills", "deploy")))
    rows = measure(pooled, count=10)
    assert rows.loc[rows["measure"] == name, "low"].isna().all()
    rows = difference(pooled, "a", "b", count=10)
    assert set(rows.loc[rows["measure"] == name, "verdict"]) <= {"no interval"}
    assert only(rows, measure=DONE, plan="all faults")["verdict"] == "inside the noise"


def test_rounds_make_an_interval_as_wide_as_so_few_of_them_ask_for() -> None:
    memory = (300.0, 500.0, 400.0)
    frames = frames_of(*(of("a", 5, round=at, memory=each) for at, each in enumerate(memory)))
    row = only(measure(frames), measure="peak_memory", plan="kills")
    half = 4.303 * 100 / math.sqrt(3)
    assert (row["low"], row["value"], row["high"]) == pytest.approx((400 - half, 400.0, 400 + half))
    two = frames_of(*(of("a", 5, round=at, memory=each) for at, each in enumerate(memory[:2])))
    # Nothing uses less than no memory.
    assert only(measure(two), measure="peak_memory", plan="kills")["low"] == 0.0


def test_a_plan_with_a_single_item_says_nothing_of_how_others_would_differ() -> None:
    one = trial((ITEMS[0], right_course(ITEMS[0])), arm="a", plan="deploy")
    rows = measure(frames_of(of("a", 5), one))
    low = {plan: only(rows, measure=DONE, plan=plan)["low"] for plan in ("deploy", "kills", "all faults")}
    assert [plan for plan, each in low.items() if math.isnan(each)] == ["deploy"]
    two = measure(frames_of(one, one.model_copy(update={"plan": one.plan.model_copy(update={"name": "restart"})})))
    assert math.isnan(only(two, measure=DONE, plan="all faults")["low"])


def test_what_is_counted_exactly_has_no_noise() -> None:
    frames = frames_of(of("a", 5), user_code={"a": 40, "b": 50})
    row = only(measure(frames), arm="a", measure="user_code_lines")
    assert row["low"] == row["value"] == row["high"] == 40
    rows = difference(frames, "a", "b")
    assert only(rows, measure="user_code_lines")["verdict"] == "better"


def test_a_difference_by_hand() -> None:
    trials = [of(arm, done, round=at) for at in range(3) for arm, done in (("a", 10), ("b", 2))]
    row = held(*trials)
    assert (row["value_a"], row["value_b"], row["difference"]) == (100.0, 20.0, 80.0)
    assert row["verdict"] == "better"
    assert held(*trials, a="b", b="a")["verdict"] == "worse"
    assert held(*trials, plan="all faults")["verdict"] == "better"


def test_better_is_lower_where_lower_is_better() -> None:
    trials = [of(arm, 10, round=at, memory=of_arm + at) for at in range(3) for arm, of_arm in (("a", 900), ("b", 300))]
    assert held(*trials, measure="peak_memory")["verdict"] == "worse"


def test_a_difference_inside_the_noise_is_called_that() -> None:
    row = held(
        of("a", 6), of("b", 5), of("a", 5, round=1), of("b", 6, round=1), of("a", 7, round=2), of("b", 5, round=2)
    )
    assert row["difference"] != 0
    assert row["verdict"] == "inside the noise"
    assert held(of("a", 5), of("b", 5))["verdict"] == "inside the noise"


def test_rounds_that_are_slow_for_both_arms_do_not_hide_a_difference() -> None:
    # Memory as a stand-in for anything of a machine that varies: round by round a has 10 more, which is far less than
    # what lies between rounds.
    trials = [of(arm, 10, round=at, memory=1000 * at + more) for at in range(4) for arm, more in (("a", 10), ("b", 0))]
    row = held(*trials, measure="peak_memory")
    assert row["low"] == row["difference"] == row["high"] == 10
    assert row["verdict"] == "worse"


def test_only_rounds_that_both_have_are_compared() -> None:
    row = held(of("a", 0), of("a", 8, round=1), of("b", 8, round=1))
    assert (row["value_a"], row["difference"]) == (80.0, 0.0)
    assert difference(frames_of(of("a", 8), of("b", 8, round=1)), "a", "b").empty


def test_never_against_sometime_and_against_never() -> None:
    gone = [(each, Course(each.id)) for each in ITEMS]
    never = [trial(*gone, arm=arm, plan="kills", round=at) for arm in "ac" for at in range(3)]
    row = held(*never, *(of("b", 10, round=at) for at in range(3)), measure="first_token_p50")
    assert (row["difference"], row["low"], row["verdict"]) == (math.inf, math.inf, "worse")
    row = held(*never, measure="first_token_p50", b="c")
    assert (row["difference"], row["verdict"]) == (0.0, "inside the noise")
    # Never in one of the rounds alone may be chance.
    some = [each for each in never if each.round == 0]
    row = held(
        *some,
        *(of("a", 10, round=at) for at in (1, 2)),
        *(of("b", 10, round=at) for at in range(3)),
        measure="first_token_p50",
    )
    assert row["verdict"] == "no interval"


def test_two_results_of_one_arm_are_compared_without_common_rounds() -> None:
    before = frames_of(*(of("a", 2, round=at) for at in range(3)))
    after = frames_of(*(of("a", 10, round=at) for at in range(5, 8)))
    rows = difference(after, "a", "a", against=before)
    row = only(rows, measure=DONE, plan="kills")
    assert (row["difference"], row["verdict"]) == (80.0, "better")
    assert only(rows, measure="peak_memory", plan="kills")["verdict"] == "inside the noise"


@pytest.mark.parametrize("name", ["a", "b"])
def test_an_arm_that_is_not_there_has_no_difference(name: str) -> None:
    assert difference(frames_of(of("a", 5)), name, "b" if name == "a" else "a").empty
