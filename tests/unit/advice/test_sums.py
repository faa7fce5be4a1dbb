"""What the runtime costs and saves, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.arms import ARMS as OF_THE_BENCHMARK
from benchmarks.scoring.measures import MEASURES
from tests.unit.advice.results import ROWS, result
from triptych.advice import Workload
from triptych.advice.sums import ARMS, DONE, WANTED, Arithmetic, plain, quote, told, work_out


def sums(rows: str = ROWS, **more: Any) -> Arithmetic:
    found = work_out(Workload.model_validate({"steps": 4, "failure_cost_usd": 20.0, **more}), result(rows))
    assert found is not None
    return found


def test_failures_are_silent_ones_and_runs_that_did_not_end_by_crash() -> None:
    bare, layered = sums().arms
    # 30 silent in 100 crashes; 10 % of 40 runs did not end done, in 20 crashes: 20 in 100.
    assert (bare.arm, bare.failures_per_100_crashes, bare.cost_usd) == ("while_loop", 50.0, 14.2)
    assert (layered.arm, layered.failures_per_100_crashes, layered.cost_usd) == ("layered", 0.0, 19.8)
    assert (bare.failures_usd, bare.total_usd) == (None, None)


def test_the_expected_cost() -> None:
    found = sums(crashes_per_10k=3.0)
    bare, layered = found.arms
    assert bare.failures_usd == pytest.approx(30.0)  # 3 crashes, half of them a failure, 20 dollars each
    assert bare.total_usd == pytest.approx(44.2)
    assert layered.total_usd == pytest.approx(19.8)
    assert found.pays is True


def test_the_border_where_it_pays() -> None:
    found = sums()
    assert found.runtime_usd == pytest.approx(5.6)
    assert found.break_even_crashes_per_10k == pytest.approx(0.56)  # 5.60 by half of 20
    assert found.pays is None
    assert sums(crashes_per_10k=0.57).pays is True
    assert sums(crashes_per_10k=0.55).pays is False
    assert sums(crashes_per_10k=0.0).pays is False


def test_a_runtime_that_costs_less_has_paid_from_the_start() -> None:
    found = sums(ROWS.replace("USD,lower,19.8", "USD,lower,9.8"))
    assert (found.runtime_usd, found.break_even_crashes_per_10k) == (pytest.approx(-4.4), 0.0)


def test_a_runtime_that_saves_nothing_never_pays() -> None:
    worse = ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,90,85,95,40,18,20")
    found = sums(worse, crashes_per_10k=100.0)
    assert (found.break_even_crashes_per_10k, found.within_noise, found.pays) == (None, False, False)


def test_within_the_noise_nothing_is_decided() -> None:
    wide = ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,0,0,40,40,0,20")
    found = sums(wide, crashes_per_10k=100.0)
    assert (found.within_noise, found.pays) == (True, None)
    once = ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,0,,,1,0,20")
    assert sums(once, crashes_per_10k=100.0).pays is None


@pytest.mark.parametrize(
    ("workload", "rows"),
    [
        ({"failure_cost_usd": None}, ROWS),
        ({"steps": 1}, ROWS),
        ({"begins_anew": True}, ROWS),
        ({}, ROWS.replace("while_loop,retail,kills,silent", "while_loop,retail,mixed,silent")),
        ({}, ROWS.replace("layered,retail,kills,runs_done", "layered,retail,mixed,runs_done")),
        ({}, ROWS.replace("layered,retail,none,cost", "layered,retail,mixed,cost")),
        ({}, ROWS.replace("USD,lower,19.8", "USD,lower,inf")),
        ({}, ROWS.replace(",40,0,20", ",40,0,")),
    ],
)
def test_without_its_numbers_there_is_no_sum(workload: dict[str, Any], rows: str) -> None:
    given = Workload.model_validate({"steps": 4, "failure_cost_usd": 20.0, **workload})
    assert work_out(given, result(rows)) is None


def quoted(**workload: Any) -> list[tuple[str, str, str]]:
    found = quote(Workload.model_validate(workload), result())
    return [(each.measure, each.arm, each.workload) for each in found.figures]


def test_what_matters_for_the_workload_is_quoted() -> None:
    assert [each for each in quoted(steps=4) if each[1] == "layered"] == [
        ("state_persistence_rate", "layered", "retail"),
        ("silent_failures_per_100_faults", "layered", "retail"),
        ("cost_per_10k_runs", "layered", "retail"),
        ("checkpoint_ms", "layered", "steps-10"),
        ("peak_memory", "layered", "retail"),
    ]
    assert {measure for measure, _, _ in quoted(steps=1)} == {"cost_per_10k_runs", "peak_memory"}
    assert ("checkpoint_ms", "layered", "steps-50") in quoted(steps=40)
    assert ("deployment_overhead", "layered", "retail") in quoted(steps=4, outlives_deploys=True)


def test_what_is_not_in_the_result_is_said_and_not_made_up() -> None:
    unmeasured = quote(Workload(steps=4, pauses=1), result()).unmeasured
    assert "approvals_asked_again of layered" in unmeasured
    assert "state_persistence_rate of monolith" in unmeasured
    assert "state_persistence_rate of layered" not in unmeasured


def test_where_another_arm_beats_ours_it_is_said() -> None:
    lost = quote(Workload(steps=1), result()).lost
    assert lost == (
        "while_loop beats layered in cost_per_10k_runs: $14.20 (14.00 to 14.40) against $19.80 (19.00 to 20.00)",
        "while_loop beats layered in peak_memory: 80 MiB (79 to 81) against 900 MiB (880 to 920)",
        "monolith beats layered in peak_memory: 160 MiB (150 to 170) against 900 MiB (880 to 920)",
    )
    noisy = ROWS.replace("MiB,lower,900,880,920", "MiB,lower,900,100,920")
    assert [each.split()[0] for each in quote(Workload(steps=1), result(noisy)).lost] == ["while_loop", "while_loop"]


def test_a_figure_is_told_with_its_unit() -> None:
    by_name = {(each.measure, each.arm): told(each) for each in result().figures}
    assert by_name["state_persistence_rate", "layered"] == "99.8% (99.0 to 100.0)"
    assert by_name["deployment_overhead", "layered"] == "never (2 to never)"


@pytest.mark.parametrize(("value", "said"), [(0.5612, "0.561"), (0.0, "0"), (999.4, "999"), (12345.6, "12,346")])
def test_a_number_has_no_exponent(value: float, said: str) -> None:
    assert plain(value) == said


def test_what_is_looked_for_is_what_the_benchmark_measures() -> None:
    better = {each.name: each.better for each in MEASURES}
    assert {each.measure: each.better for each in WANTED}.items() <= better.items()
    assert DONE in better
    assert set(ARMS) <= OF_THE_BENCHMARK.keys()
