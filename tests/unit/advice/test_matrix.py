"""Every row of the matrix, the borders between them, and that nobody is given more panels than the rows ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.advice.workloads import ROWS
from triptych.advice import Workload, advise, contradictions
from triptych.advice.matrix import ALL, CALL, LOOP, MATRIX, RECOMMENDATIONS, RUNTIME, Recommendation


def test_every_row_is_tested() -> None:
    assert [row.name for row in MATRIX if row.name != "dear failures"] == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_decides(row: str) -> None:
    workload, expected = ROWS[row]
    advice = advise(Workload.model_validate(workload))
    assert (advice.recommendation, advice.rows) == (expected, (row,))
    assert advice.reason == next(each.reason for each in MATRIX if each.name == row)


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        # The four of the published matrix, whole.
        ({"task": "routing", "steps": 2, "begins_anew": True}, LOOP),
        ({"steps": 8, "pauses": 2, "pause_hours": 4.0, "outlives_deploys": True}, RUNTIME),
        ({"steps": 60, "code": "repository", "parallel": 10, "minutes": 40.0}, ALL),
        ({"task": "classification"}, CALL),
        # One request, whatever it is called.
        ({"steps": 1}, CALL),
        ({"task": "routing", "steps": 1}, LOOP),
        ({"steps": 2}, LOOP),
        # Under three steps, or not: routing is no way around it, unless it may begin anew.
        ({"task": "routing", "steps": 3}, RUNTIME),
        ({"task": "routing", "steps": 5}, RUNTIME),
        ({"task": "routing", "steps": 5, "begins_anew": True}, LOOP),
        ({"task": "routing", "steps": 2, "pauses": 1}, RUNTIME),
        ({"steps": 3}, RUNTIME),
        ({"steps": 3, "begins_anew": True}, LOOP),
        # What a single call does not get around.
        ({"task": "extraction", "pauses": 1}, RUNTIME),
        ({"task": "extraction", "outlives_deploys": True}, RUNTIME),
        # How long it works: a quarter of an hour is still a function's.
        ({"steps": 2, "minutes": 15.0}, LOOP),
        ({"steps": 2, "minutes": 15.1}, RUNTIME),
        ({"steps": 9, "minutes": 90.0, "begins_anew": True}, LOOP),
        ({"steps": 1, "minutes": 90.0}, CALL),
        # Code needs a box, however little else is said.
        ({"steps": 1, "code": "snippets"}, ALL),
        ({"steps": 9, "code": "snippets", "begins_anew": True}, ALL),
        ({"steps": 3, "code": "repository"}, ALL),
        # What asks for nothing by itself.
        ({"steps": 2, "parallel": 100}, LOOP),
        ({"steps": 2, "runs_per_day": 1e6, "failure_cost_usd": 1e6, "crashes_per_10k": 100.0}, LOOP),
    ],
)
def test_the_borders(workload: dict[str, Any], expected: Recommendation) -> None:
    assert advise(Workload.model_validate(workload)).recommendation == expected


WORKLOADS = st.builds(
    Workload,
    task=st.sampled_from(["agent", "routing", "extraction", "classification"]),
    steps=st.integers(1, 100),
    pauses=st.integers(0, 2),
    code=st.sampled_from(["none", "none", "snippets", "repository"]),
    minutes=st.none() | st.floats(0.1, 100),
    outlives_deploys=st.booleans(),
    begins_anew=st.booleans(),
).filter(lambda workload: not contradictions(workload))


@given(WORKLOADS)
def test_there_is_always_an_answer_and_no_more_than_a_row_asks_for(workload: Workload) -> None:
    advice = advise(workload)
    asked = {row.name: row.recommendation for row in MATRIX if row.applies(workload, None)}
    assert RECOMMENDATIONS.index(advice.recommendation) == max(map(RECOMMENDATIONS.index, asked.values()))
    assert advice.rows
    assert {asked[name] for name in advice.rows} == {advice.recommendation}
    assert advice.start_with
    if advice.recommendation != ALL:
        assert workload.code == "none"


@given(WORKLOADS)
def test_who_asks_for_less_never_gets_more(workload: Workload) -> None:
    less = workload.model_copy(update={"pauses": 0, "outlives_deploys": False, "minutes": None, "code": "none"})
    assert RECOMMENDATIONS.index(advise(less).recommendation) <= RECOMMENDATIONS.index(advise(workload).recommendation)


@given(WORKLOADS)
def test_one_row_alone_goes_by_the_number_of_steps(workload: Workload) -> None:
    shapes = {"single call", "few steps", "begins anew", "several steps"}
    assert len([row for row in MATRIX if row.name in shapes and row.applies(workload, None)]) == 1


def test_a_row_says_what_it_does() -> None:
    few = next(row for row in MATRIX if row.name == "few steps")
    assert few.condition == "under 3 steps: routing, or more than a single request"
    applies = {
        (task, steps)
        for task in ("agent", "routing")
        for steps in range(1, 6)
        if few.applies(Workload.model_validate({"task": task, "steps": steps}), None)
    }
    assert applies == {("routing", 1), ("routing", 2), ("agent", 2)}
