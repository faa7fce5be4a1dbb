"""What the plots show, as figures: each function takes frames and returns points, none where the data is not there."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any, NamedTuple

from benchmarks.reporting.measured import Frames, records

WORKLOAD = "retail"
"""The one that meets every fault plan."""
HOURS = (0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0)
"""How long a person takes, where cost is held against it."""
RUNS = 10_000


class Point(NamedTuple):
    """One point of an arm's curve."""

    x: float
    y: float
    low: float
    high: float
    """How far the rounds, or trials, are apart; equal to `y` where there is one."""


Curves = dict[str, list[Point]]
"""By arm."""


def persistence(frames: Frames) -> Curves:
    """Return the state persistence rate, in percent, against crashes per 100 runs: a point a fault plan.

    Plans under which nothing crashed are left out, but for the one without faults. Low and high are of single rounds.
    """
    crashes: dict[tuple[str, str], list[float]] = {}
    for row in records(frames, "items"):
        if row["workload"] == WORKLOAD:
            crashes.setdefault((row["arm"], row["plan"]), []).append(row["crashes"])
    kept: dict[tuple[str, str], dict[int, list[bool]]] = {}
    for row in records(frames, "steps"):
        if row["workload"] == WORKLOAD and row["completed"]:
            kept.setdefault((row["arm"], row["plan"]), {}).setdefault(row["round"], []).append(row["kept"])
    curves: Curves = {}
    for (arm, plan), counts in crashes.items():
        rounds = kept.get((arm, plan), {})
        if rounds and (plan == "none" or sum(counts) > 0):
            rates = [_percent(each) for each in rounds.values()]
            pooled = _percent([each for of in rounds.values() for each in of])
            at = 100.0 * sum(counts) / len(counts)
            curves.setdefault(arm, []).append(Point(at, pooled, min(rates), max(rates)))
    return {arm: sorted(points) for arm, points in curves.items()}


def _percent(kept: Sequence[bool]) -> float:
    return 100.0 * sum(kept) / len(kept)


def cost(frames: Frames) -> Curves:
    """Return the cost of 10,000 runs of `approvals`, in dollars, against the hours that a person takes.

    Measured are a run's tokens and compute, and its share of what its trial cost for each idle hour; the points are
    these two put together. Low and high are not known.
    """
    runs: dict[str, list[float]] = {}
    for row in records(frames, "items"):
        if _has_people(row) and row["cost_compute_usd"] is not None:
            runs.setdefault(row["arm"], []).append(row["cost_tokens_usd"] + row["cost_compute_usd"])
    hours: dict[str, list[float]] = {}
    for row in records(frames, "use"):
        if _has_people(row) and row["cost_idle_usd"] is not None and row["longest_wait_hours"] > 0:
            an_hour = row["cost_idle_usd"] / row["longest_wait_hours"] / row["items"]
            hours.setdefault(row["arm"], []).append(an_hour)
    curves: Curves = {}
    for arm, of_runs in runs.items():
        if arm in hours:
            at_work, an_hour = mean(of_runs), mean(hours[arm])
            totals = [RUNS * (at_work + an_hour * each) for each in HOURS]
            curves[arm] = [Point(x, y, y, y) for x, y in zip(HOURS, totals, strict=True)]
    return curves


def _has_people(row: dict[str, Any]) -> bool:
    return row["workload"] == "approvals" and row["plan"] == "none"


def checkpoints(frames: Frames) -> Curves:
    """Return what a step takes over a bare one, in milliseconds, against the steps of a run: medians.

    Low and high are the least and the most of single runs.
    """
    taken: dict[str, dict[int, list[float]]] = {}
    for row in records(frames, "checkpoints"):
        if row["ms_per_step"] is not None:
            taken.setdefault(row["arm"], {}).setdefault(row["steps"], []).append(row["ms_per_step"])
    return {
        arm: [Point(float(steps), median(each), min(each), max(each)) for steps, each in sorted(by_steps.items())]
        for arm, by_steps in taken.items()
    }


def first_tokens(frames: Frames) -> dict[str, list[float]]:
    """Return, by arm, the milliseconds to the first token of every run of `retail` without faults, sorted."""
    taken: dict[str, list[float]] = {}
    for row in records(frames, "items"):
        if row["workload"] == WORKLOAD and row["plan"] == "none" and row["first_token_ms"] is not None:
            taken.setdefault(row["arm"], []).append(row["first_token_ms"])
    return {arm: sorted(each) for arm, each in taken.items()}
