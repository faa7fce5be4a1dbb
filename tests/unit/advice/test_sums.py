"""What the runtime costs and saves, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.arms import ARMS
from benchmarks.harness.profiles import PROFILES
from tests.unit.advice.results import DBOS, KEYED, ROWS, result
from triptych.advice import Workload
from triptych.advice.sums import TO_MEASURE, Arithmetic, Comparison, Missing, Span, when_it_pays, work_out

WIDE = ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,0,0,40,40,0,20")
"""Ours may fail as often as the loop."""


def sums(rows: str = ROWS, **more: Any) -> Arithmetic:
    found = work_out(Workload.model_validate({"steps": 4, "failure_cost_usd": 20.0, **more}), result(rows))
    assert isinstance(found, Arithmetic)
    return found


def loops(rows: str = ROWS, **more: Any) -> Comparison:
    found = sums(rows, **more).against_loops
    assert found is not None
    return found


def borders(span: Span | None) -> tuple[float, float] | None:
    return span and (span.least, span.most)


def test_failures_are_silent_ones_and_runs_that_did_not_end_by_crash() -> None:
    bare, layered = sums().arms
    # 30 silent in 100 crashes; 10 % of 40 runs did not end done, in 20 crashes: 20 in 100.
    assert (bare.arm, bare.failures_per_100_crashes, bare.cost_usd) == ("while_loop", 50.0, 14.2)
    assert (layered.arm, layered.failures_per_100_crashes, layered.cost_usd) == ("layered", 0.0, 19.8)
    assert (bare.failures_usd, bare.total_usd) == (None, None)
    assert (sums().failures_measured, sums().cost_measured) == ("retail, kills", "retail, none")


def test_the_expected_cost_the_cheapest_first() -> None:
    found = sums(crashes_per_10k=3.0)
    layered, bare = found.arms
    assert bare.failures_usd == pytest.approx(30.0)  # 3 crashes, half of them a failure, 20 dollars each
    assert bare.total_usd == pytest.approx(44.2)
    assert layered.total_usd == pytest.approx(19.8)
    assert found.against_loops == found.against_all
    assert found.against_all.pays is True


def test_the_border_where_it_pays() -> None:
    found = loops()
    assert found.runtime_usd == pytest.approx(5.6)
    assert borders(found.pays_at) == (pytest.approx(0.56), 10_000)  # 5.60 by half of 20
    # At least 35 failures in 100 crashes less one, of 20 dollars each: 6.80 a crash.
    assert borders(found.surely_pays_at) == (pytest.approx(5.6 / 6.8), 10_000)
    assert (found.within_noise, found.pays) == (False, None)
    assert loops(crashes_per_10k=0.83).pays is True
    assert loops(crashes_per_10k=0.57).pays is None
    assert loops(crashes_per_10k=0.3).pays is False
    assert loops(crashes_per_10k=0.0).pays is False
    assert when_it_pays(found) == (
        "it pays for itself at 0.56 or more crashes in 10,000 runs, beyond the noise at 0.824 or more"
    )


def test_a_runtime_that_costs_less_has_paid_from_the_start() -> None:
    found = loops(ROWS.replace("USD,lower,19.8", "USD,lower,9.8"))
    assert found.runtime_usd == pytest.approx(-4.4)
    assert found.pays_at == found.surely_pays_at == Span(least=0.0, most=10_000)


def test_a_runtime_that_costs_less_and_fails_more_pays_up_to_a_border() -> None:
    rows = ROWS.replace("USD,lower,19.8", "USD,lower,9.8").replace("0,0,1,40,0,20", "60,59,61,40,12,20")
    found = loops(rows.replace("90,85,95,40,36,40", "100,100,100,40,40,40"))
    assert borders(found.pays_at) == (0.0, pytest.approx(4.4 / 6))  # 30 failures more in 100 crashes
    assert "at 0 to 0.733 crashes" in when_it_pays(found)


def test_a_runtime_that_saves_nothing_never_pays() -> None:
    found = loops(ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,90,85,95,40,18,20"), crashes_per_10k=100.0)
    assert (found.pays_at, found.within_noise, found.pays) == (None, False, False)
    assert when_it_pays(found) == "it pays for itself at no number of crashes"


def test_within_the_noise_nothing_is_decided_and_no_border_is_told() -> None:
    found = loops(WIDE, crashes_per_10k=100.0)
    assert (found.surely_pays_at, found.within_noise, found.pays) == (None, True, None)
    assert when_it_pays(found) == "whether it ever pays for itself is within the noise"
    assert loops(WIDE).within_noise
    once = loops(ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,0,,,1,0,20"), crashes_per_10k=100.0)
    assert (once.within_noise, once.pays) == (True, None)


def test_the_interval_of_a_cost_is_of_items_that_all_arms_had() -> None:
    assert loops(ROWS.replace("19.8,19,20", "19.8,5,60"), crashes_per_10k=3.0).pays is True


def test_it_is_held_against_the_best_loop_and_not_a_straw_man() -> None:
    found = sums(ROWS + KEYED, crashes_per_10k=100.0)
    assert [each.arm for each in found.arms] == ["while_loop_keyed", "layered", "while_loop"]
    assert found.against_loops == found.against_all
    assert (found.against_all.beside, found.against_all.runtime_usd) == ("while_loop_keyed", pytest.approx(9.8))
    assert found.against_all.pays_at is None


def test_another_runtime_is_no_loop() -> None:
    found = sums(ROWS + DBOS, crashes_per_10k=100.0)
    assert found.against_loops is not None
    assert (found.against_loops.beside, found.against_loops.pays) == ("while_loop", True)
    assert (found.against_all.beside, found.against_all.pays, found.against_all.within_noise) == ("dbos", None, True)
    surely = DBOS.replace("runs,lower,0,0,1", "runs,lower,0,0,0")
    exact = ROWS.replace("runs,lower,0,0,1", "runs,lower,0,0,0")
    assert sums(exact + surely, crashes_per_10k=100.0).against_all.pays is False
    without_loops = "".join(each for each in ROWS.splitlines(keepends=True) if "while_loop" not in each)
    assert sums(without_loops + DBOS).against_loops is None


def test_an_arm_is_counted_on_the_same_workload_or_left_out() -> None:
    found = sums(ROWS + DBOS.replace("dbos,retail,none", "dbos,approvals,none"))
    assert [each.arm for each in found.arms] == ["while_loop", "layered"]
    assert found.left_out == ("dbos", "monolith")


def test_another_store_of_ours_is_in_the_table_and_no_rival() -> None:
    found = sums(ROWS + DBOS.replace("dbos", "layered_s3"), crashes_per_10k=3.0)
    assert [each.arm for each in found.arms] == ["layered_s3", "layered", "while_loop"]
    assert found.against_all.beside == "while_loop"


def test_a_run_that_waits_is_priced_with_its_waits() -> None:
    rows = ROWS + "layered,approvals,none,cost_per_10k_runs,USD,lower,60,,,6,,\n"
    rows += "while_loop,approvals,none,cost_per_10k_runs,USD,lower,30,,,6,,\n"
    found = sums(rows, pauses=1)
    assert [each.cost_usd for each in found.arms] == [30.0, 60.0]
    assert (found.failures_measured, found.cost_measured) == ("retail, kills", "approvals, none")


HOW = "`triptych bench --profile full --arms while_loop,while_loop_keyed,monolith,layered --workloads"


@pytest.mark.parametrize(
    ("workload", "rows", "why"),
    [
        ({"steps": 1}, ROWS, "a single request leaves nothing half done"),
        ({"begins_anew": True}, ROWS, "a run that may begin anew leaves nothing half done"),
        ({"failure_cost_usd": None, "crashes_per_10k": 3.0}, ROWS, "what a failure costs was not said"),
        ({"code": "snippets", "pauses": 1}, ROWS, "no workload that both runs code and waits"),
        ({"code": "snippets"}, ROWS, f"{HOW} coding`"),
        ({"pauses": 1}, ROWS, f"{HOW} retail,approvals`"),
        ({}, None, f"nothing was measured here; {HOW} retail`"),
        ({}, ROWS.replace(",kills,", ",mixed,"), "failures under the plan kills or the cost under none, on workloads"),
        ({}, ROWS.replace("layered,retail,kills,runs_done", "layered,retail,mixed,runs_done"), f"{HOW} retail`"),
        ({}, ROWS.replace("layered,retail,none,cost", "layered,retail,mixed,cost"), f"{HOW} retail`"),
        ({}, ROWS.replace(",40,0,20", ",40,0,"), f"{HOW} retail`"),
        ({}, ROWS.replace("while_loop,retail,kills,silent", "while_loop,retail,mixed,silent"), "has no other arm"),
    ],
)
def test_without_its_numbers_there_is_no_sum_and_it_is_said_why(
    workload: dict[str, Any], rows: str | None, why: str
) -> None:
    given = Workload.model_validate({"steps": 4, "failure_cost_usd": 20.0, **workload})
    found = work_out(given, None if rows is None else result(rows))
    assert isinstance(found, Missing)
    assert why in found.why


def test_nobody_who_said_no_number_is_told_of_sums() -> None:
    assert work_out(Workload(steps=4), result()) is None


def test_what_one_is_told_to_measure_has_the_figures() -> None:
    assert set(TO_MEASURE) <= ARMS.keys()
    has = {(each.workload, each.plan) for each in PROFILES["full"].specs}
    assert {(workload, plan) for workload in ("retail", "coding") for plan in ("kills", "none")} <= has
    assert ("approvals", "none") in has
    assert "kills" not in {each.plan for each in PROFILES["smoke"].specs}
