"""What stands beside a recommendation: where to begin, what speaks against it, which figures."""

from __future__ import annotations

import pkgutil
import re
from typing import Any

import pytest

from tests.unit.advice.results import DBOS, KEYED, ROWS, result
from tests.unit.advice.workloads import ROWS as OF_EACH_ROW
from triptych.advice import Advice, Workload, advise
from triptych.advice.matrix import LOOP, RUNTIME
from triptych.cli import app


def advice(rows: str | None = None, **workload: Any) -> Advice:
    return advise(Workload.model_validate(workload), None if rows is None else result(rows))


DEAR: dict[str, Any] = {"steps": 2, "failure_cost_usd": 20.0}


def test_dear_failures_ask_for_the_runtime() -> None:
    found = advice(ROWS, **DEAR, crashes_per_10k=3.0)
    assert (found.recommendation, found.rows) == (RUNTIME, ("dear failures",))
    assert found.arithmetic is not None


@pytest.mark.parametrize(
    "more",
    [{"crashes_per_10k": 0.1}, {}, {"crashes_per_10k": 3.0, "begins_anew": True}, {"steps": 1, "crashes_per_10k": 3.0}],
)
def test_failures_that_are_not_do_not(more: dict[str, Any]) -> None:
    assert advice(ROWS, **{**DEAR, **more}).recommendation != RUNTIME


def test_without_figures_a_price_decides_nothing() -> None:
    found = advice(**DEAR, crashes_per_10k=10_000.0)
    assert (found.recommendation, found.arithmetic, found.source, found.figures) == (LOOP, None, None, ())


def test_without_a_rate_of_crashes_the_border_is_told() -> None:
    said = advice(ROWS, **DEAR).against[-1]
    assert (
        "was not said; beside while_loop the runtime costs $5.60 more, and it pays for itself at 0.56 or more" in said
    )


def test_within_the_noise_is_said_so_and_no_border() -> None:
    wide = ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,0,0,40,40,0,20")
    found = advice(wide, **DEAR, crashes_per_10k=3.0)
    assert found.recommendation == LOOP
    assert found.against[-1].endswith("differ by less than the measurement does: the arithmetic decides nothing")
    assert "0.56" not in " ".join(advice(wide, **DEAR).against)


def test_a_runtime_that_does_not_pay_is_said_so() -> None:
    found = advice(ROWS, steps=6, failure_cost_usd=20.0, crashes_per_10k=0.1)
    assert found.recommendation == RUNTIME
    assert found.against[-1] == "with what crashes cost, while_loop comes to less: $15.20 against $19.80 of layered"


def test_a_loop_with_keys_that_fails_no_more_asks_for_no_runtime() -> None:
    found = advice(ROWS + KEYED, **DEAR, crashes_per_10k=100.0)
    assert found.recommendation == LOOP
    (keys,) = [each for each in found.against if "idempotency key" in each]
    assert ". With keys (while_loop_keyed): " in keys
    assert "silent_failures_per_100_faults 0 runs (0 to 1) (retail, kills)" in keys
    assert keys.endswith("cost_per_10k_runs $10.00 (9.00 to 11.00) (retail, none)")
    assert not any("With keys" in each for each in advice(ROWS, steps=2).against)
    said = advice(ROWS + KEYED, steps=6, failure_cost_usd=20.0, crashes_per_10k=100.0).against
    assert (
        "with what crashes cost, while_loop_keyed comes to as much, within the noise: $10.00 against $19.80" in said[-1]
    )


def test_another_runtime_that_is_cheaper_is_named() -> None:
    found = advice(ROWS + DBOS, **DEAR, crashes_per_10k=3.0)
    assert (found.recommendation, found.rows) == (RUNTIME, ("dear failures",))
    assert found.against[-1].startswith("with what crashes cost, dbos comes to ")
    noisy = ROWS.replace("runs,lower,30,25,35", "runs,lower,30,0,35").replace("90,85,95,40", "90,85,100,40")
    found = advice(noisy + DBOS, **DEAR, crashes_per_10k=3.0)
    assert found.recommendation == LOOP
    assert found.against[-1] == "as measured, with what crashes cost, dbos comes to less than any loop: $15.00"


def test_why_there_is_no_arithmetic_is_told() -> None:
    smoke = ROWS.replace(",kills,", ",mixed,")
    assert "lacks, of layered, failures under the plan kills" in str(advice(smoke, **DEAR).no_arithmetic)
    assert "what a failure costs" in str(advice(ROWS, steps=6, crashes_per_10k=3.0).no_arithmetic)
    assert "begin anew" in str(advice(steps=6, crashes_per_10k=3.0, begins_anew=True).no_arithmetic)
    assert advice(smoke, steps=2).no_arithmetic is None
    assert advice(ROWS, **DEAR).no_arithmetic is None


def test_where_it_is_beaten_comes_first() -> None:
    assert advice(ROWS, steps=6).against[0].startswith("while_loop beats layered")


@pytest.mark.parametrize("workload", [{"steps": 1}, {"steps": 2}, {"steps": 6, "begins_anew": True}])
def test_defeats_of_the_runtime_do_not_speak_against_less(workload: dict[str, Any]) -> None:
    assert not any("beats" in each for each in advice(ROWS, **workload).against)


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ({"steps": 6}, "say so, and the loop alone will do"),
        ({"task": "extraction", "pauses": 1}, "that is no pause of it"),
        ({"task": "extraction", "outlives_deploys": True}, "where a queue sends it again"),
        (
            {"steps": 1, "code": "snippets"},
            "no level has the loop and the sandbox alone, but a box can be used without",
        ),
        ({"steps": 9, "code": "repository"}, "it needs a Docker Engine"),
        ({"steps": 9, "pauses": 1}, "somebody has to keep a Prefect server"),
        ({"steps": 2}, "make the idempotency key of what was asked"),
        ({"steps": 2, "parallel": 20}, "20 at once share one process"),
        ({"steps": 1, "minutes": 30.0}, "more than a function-as-a-service gives"),
        ({"steps": 4, "minutes": 30.0, "runs_per_day": 200.0, "parallel": 4}, "are 4.2 at once"),
    ],
)
def test_what_speaks_against_it(workload: dict[str, Any], said: str) -> None:
    assert any(said in each for each in advice(**workload).against)


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ({"steps": 6, "pauses": 1}, "say so, and the loop alone"),
        ({"steps": 4, "code": "snippets"}, "no level has"),
        ({"steps": 2, "begins_anew": True}, "idempotency key"),
        ({"steps": 4, "minutes": 30.0, "runs_per_day": 192.0, "parallel": 4}, "at once"),
        ({"steps": 1}, ""),
    ],
)
def test_what_does_not(workload: dict[str, Any], said: str) -> None:
    assert not any(said in each for each in advice(**workload).against)


def test_what_one_is_told_to_begin_with_is_there() -> None:
    named = [each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands]
    commands = {*named, *(each.name for each in app.registered_groups)}
    workloads = [workload for workload, _ in OF_EACH_ROW.values()] + [{"steps": 2, "code": "snippets", "pauses": 1}]
    for workload in workloads:
        found = advice(**workload)
        for said in (*found.start_with, *found.against):
            for name in re.findall(r"\btriptych(?:\.\w+)+", said):
                assert pkgutil.resolve_name(name)
            for command in re.findall(r"`triptych (\w+)", said):
                assert command in commands
    assert advice(steps=6, pauses=1).start_with != advice(steps=6).start_with
