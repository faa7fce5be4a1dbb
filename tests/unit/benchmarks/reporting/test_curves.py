"""What the plots show, by cases computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from benchmarks.reporting import curves
from benchmarks.reporting.curves import Point


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def steps(plan: str, number: int, kept: list[bool], **more: Any) -> list[dict[str, Any]]:
    of = {"arm": "dbos", "workload": "retail", "plan": plan, "round": number, "completed": True, **more}
    return [{**of, "kept": each} for each in kept]


def items(plan: str, crashes: list[float], **more: Any) -> list[dict[str, Any]]:
    of = {"arm": "dbos", "workload": "retail", "plan": plan, **more}
    return [{**of, "crashes": each} for each in crashes]


def test_persistence_against_crashes() -> None:
    frames = {
        "items": frame(
            *items("none", [0, 0]),
            *items("kills", [1, 0, 1, 0]),
            *items("slow_tools", [0]),
            *items("kills", [1], workload="approvals"),
        ),
        "steps": frame(
            *steps("none", 0, [True, True]),
            *steps("kills", 0, [True, True, True, False]),
            *steps("kills", 1, [True, False]),
            *steps("kills", 1, [False], completed=False),
            *steps("slow_tools", 0, [False]),
            *steps("kills", 1, [False], workload="approvals"),
        ),
    }
    # Without faults all is kept. Two of four runs crashed: 3 of 4 steps were kept in one round, 1 of 2 in the other.
    found = curves.persistence(frames)
    assert found == {"dbos": [Point(0.0, 100.0, 100.0, 100.0), Point(50.0, found["dbos"][1].y, 50.0, 75.0)]}
    assert found["dbos"][1].y == pytest.approx(400 / 6)


def approval(tokens: float, compute: float, **more: Any) -> dict[str, Any]:
    of = {"arm": "dbos", "workload": "approvals", "plan": "none"}
    return {**of, "cost_tokens_usd": tokens, "cost_compute_usd": compute, **more}


def use(hours: float, idle: float, **more: Any) -> dict[str, Any]:
    of = {"arm": "dbos", "workload": "approvals", "plan": "none", "items": 2}
    return {**of, "longest_wait_hours": hours, "cost_idle_usd": idle, **more}


def test_cost_against_the_hours_a_person_takes() -> None:
    items_of = frame(approval(0.010, 0.001), approval(0.020, 0.001), approval(9.0, 9.0, plan="restart"))
    use_of = frame(use(4.0, 0.008), use(8.0, 0.048), use(1.0, 9.0, plan="restart"), use(5.0, math.nan))
    found = curves.cost({"items": items_of, "use": use_of})["dbos"]
    # (0.011 + 0.021) / 2 at work. An hour cost 0.001 of each of two items in one trial, and 0.003 in the other.
    assert found[0] == pytest.approx((0.0, 160.0, 160.0, 160.0))
    assert found[2] == pytest.approx((2.0, 200.0, 200.0, 200.0))


def test_an_arm_that_holds_nothing_costs_the_same_however_long_people_take() -> None:
    found = curves.cost({"items": frame(approval(0.01, 0.0)), "use": frame(use(12.0, 0.0))})["dbos"]
    assert {point.y for point in found} == {100.0}


def test_cost_without_what_it_is_to_wait_is_not_drawn() -> None:
    of = {"items": frame(approval(0.01, 0.0))}
    assert curves.cost({**of, "use": frame(use(0.0, 0.0))}) == {}
    assert curves.cost({**of, "use": frame(use(2.0, math.nan))}) == {}
    assert curves.cost({"items": frame(approval(0.01, math.nan)), "use": frame(use(2.0, 0.1))}) == {}


def test_checkpoints_are_medians_without_the_bare_arm() -> None:
    rows = [("dbos", 50, 9.0), ("dbos", 10, 4.0), ("dbos", 10, 6.0), ("dbos", 10, 5.0), ("while_loop", 10, math.nan)]
    frames = {"checkpoints": frame(*({"arm": a, "steps": s, "ms_per_step": ms} for a, s, ms in rows))}
    assert curves.checkpoints(frames) == {"dbos": [Point(10.0, 5.0, 4.0, 6.0), Point(50.0, 9.0, 9.0, 9.0)]}


def test_first_tokens_are_those_without_faults() -> None:
    of = {"arm": "dbos", "workload": "retail", "plan": "none"}
    rows = [{**of, "first_token_ms": ms} for ms in (300.0, 200.0, math.nan)]
    frames = {"items": frame(*rows, {**of, "plan": "kills", "first_token_ms": 1.0})}
    assert curves.first_tokens(frames) == {"dbos": [200.0, 300.0]}


def test_what_is_not_there_has_no_curve() -> None:
    assert [draw({}) for draw in (curves.persistence, curves.cost, curves.checkpoints, curves.first_tokens)] == [{}] * 4
