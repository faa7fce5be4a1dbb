"""The claims' verdicts, by cases computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.reporting.claims import Claim, at_least, claims, saving, within
from benchmarks.reporting.measured import Key, Results
from benchmarks.reporting.numbers import Figure
from benchmarks.reporting.published import DEPLOYMENT
from tests.unit.benchmarks.reporting import made

SILENT = Key("silent_failures_per_100_faults", "retail", "all faults")
APPROVALS = Key("cost_per_10k_runs", "approvals", "none")
OVERHEAD, CHECKPOINTS, PEOPLE, CODING, FAILURES = range(5)


def of(number: int, measures: list[Any], differences: list[Any] | None = None) -> Claim:
    return claims(Results(made.summed(measures, differences or [])))[number]


def test_a_saving_has_the_widest_interval_that_both_allow() -> None:
    # 1 - 4/16, 1 - 5/15 and 1 - 3/20.
    assert saving(Figure(4, 3, 5), Figure(16, 15, 20)) == pytest.approx((0.75, 1 - 5 / 15, 0.85))
    assert saving(Figure(4), Figure(16, 15, 20)) == (0.75, None, None)
    assert saving(Figure(4), Figure(None)).value is None
    assert saving(Figure(4), Figure(math.inf)).value == math.inf
    assert saving(Figure(math.inf), Figure(4)).value == -math.inf
    assert saving(Figure(math.inf), Figure(math.inf)).value is None


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure(0.8, 0.73, 0.9), "holds"),
        (Figure(0.8, 0.72, 0.9), "inside the noise"),
        (Figure(0.5, 0.4, 0.72), "does not hold"),
        (Figure(0.8), "too few rounds to say; the figure is for it"),
        (Figure(0.7), "too few rounds to say; the figure is against it"),
        (Figure(-math.inf), "too few rounds to say; the figure is against it"),
        (Figure(None), "not measured here"),
    ],
)
def test_at_least(figure: Figure, verdict: str) -> None:
    assert at_least(figure, 0.73) == verdict


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure(15, 10, 20), "holds"),
        (Figure(15, 9.9, 20), "inside the noise"),
        (Figure(5, 4, 9.9), "does not hold"),
        (Figure(30, 20.1, 40), "does not hold"),
        (Figure(15), "too few rounds to say; the figure is for it"),
        (Figure(1000), "too few rounds to say; the figure is against it"),
        (Figure(None), "not measured here"),
    ],
)
def test_within(figure: Figure, verdict: str) -> None:
    assert within(figure, 10, 20) == verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict", "said"),
    [
        ((0.1, 0.09, 0.11), (1.0, 0.9, 1.1), "holds", "90.0% less (87.8 to 91.8)"),
        ((0.8, 0.7, 0.9), (1.0, 0.9, 1.1), "does not hold", "20% less (0 to 36)"),
        ((0.3, 0.2, 0.4), (1.0, 0.9, 1.1), "inside the noise", "70% less (56 to 82)"),
        ((0.1, 0.09, 0.11), (math.inf,) * 3, "holds", "no percentage"),
        ((math.inf,) * 3, (1.0, 0.9, 1.1), "does not hold", "no percentage"),
        ((math.inf,), (1.0,), "too few rounds to say; the figure is against it", "no percentage"),
        ((math.inf,) * 3, (math.inf,) * 3, "nothing can be said: it is never in both", "no percentage"),
        ((math.inf,), (math.inf,), "nothing can be said: it is never in both", "no percentage"),
    ],
)
def test_deployment_overhead(ours: Any, theirs: Any, verdict: str, said: str) -> None:
    measures = [made.measure("layered", DEPLOYMENT.key, *ours), made.measure("monolith", DEPLOYMENT.key, *theirs)]
    claim = of(OVERHEAD, measures)
    assert claim.verdict == verdict
    assert said in claim.figures


def test_one_length_at_which_a_step_costs_otherwise_is_enough() -> None:
    fitting = [made.measure("layered", Key("checkpoint_ms", f"steps-{n}", "none"), 15, 14, 16) for n in (10, 50)]
    assert of(CHECKPOINTS, fitting).verdict == "holds"
    other = made.measure("layered", Key("checkpoint_ms", "steps-200", "none"), 40, 35, 45)
    claim = of(CHECKPOINTS, [*fitting, other])
    assert claim.verdict == "does not hold"
    assert "steps-10: 15.0 (14.0 to 16.0)" in claim.figures
    assert "steps-200: 40 (35 to 45)" in claim.figures
    alone = made.measure("layered", Key("checkpoint_ms", "steps-200", "none"), 1000)
    assert of(CHECKPOINTS, [*fitting, alone]).verdict == "too few rounds to say; the figure is against it"


def test_cost_where_people_approve() -> None:
    cheaper = [made.measure("layered", APPROVALS, 14, 13, 15), made.measure("monolith", APPROVALS, 28, 27, 29)]
    assert of(PEOPLE, cheaper).verdict == "holds"
    dearer = [made.measure("layered", APPROVALS, 28, 27, 29), made.measure("monolith", APPROVALS, 14, 13, 15)]
    claim = of(PEOPLE, dearer)
    assert claim.verdict == "does not hold"
    assert "100% more (80 to 123)" in claim.figures
    assert of(PEOPLE, cheaper[:1]).verdict == "not measured here"


def test_coding_agents_are_not_measured_by_another_workload() -> None:
    others = [made.measure("layered", APPROVALS, 14, 13, 15), made.measure("monolith", APPROVALS, 28, 27, 29)]
    assert of(CODING, others).verdict == "not measured here"
    batches = Key("cost_per_10k_runs", "coding-batch", "none")
    measured = [made.measure("layered", batches, 14, 13, 15), made.measure("monolith", batches, 28, 27, 29)]
    assert of(CODING, measured).verdict == "holds"


def failures(ours: int, theirs: int) -> list[Any]:
    return [
        made.measure("layered", SILENT, ours, part=float(ours), of=100.0),
        made.measure("while_loop", SILENT, theirs, part=float(theirs), of=100.0),
    ]


def test_silent_failures_are_counted_and_their_money_is_not() -> None:
    worse = [made.difference("while_loop", "layered", SILENT, 20, 10, 30, "worse")]
    claim = of(FAILURES, failures(0, 20), worse)
    assert claim.verdict == "holds"
    assert "`layered` 0 among 100 faults (0 per 100); `while_loop` 20 among 100 faults (20 per 100)" in claim.figures
    # The rule of three: none among 100 leaves room for 3.
    assert "up to 3 per 100" in claim.figures
    assert of(FAILURES, failures(1, 20), worse).verdict == "does not hold"


def test_no_silent_failure_in_any_arm_tells_nothing() -> None:
    same = [made.difference("while_loop", "layered", SILENT, 0, 0, 0, "inside the noise")]
    assert of(FAILURES, failures(0, 0), same).verdict == "inside the noise"


def test_without_faults_nothing_is_said_of_silent_failures() -> None:
    assert of(FAILURES, []).verdict == "not measured here"
    without = [made.measure("layered", SILENT, 0, part=0.0, of=0.0)]
    assert of(FAILURES, without).verdict == "not measured here"
