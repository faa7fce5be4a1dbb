"""From frames to measures with their intervals, and to what lies between two arms or two results."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.scoring import frames as columns
from benchmarks.scoring.frames import Frames, Row, frame
from benchmarks.scoring.measures import ALL, MEASURES, Measure, Units
from benchmarks.scoring.resampling import Numbers, Unit, figure, interval, samples
from benchmarks.scoring.trial_rows import NO_FAULTS

ALL_FAULTS = "all faults"
"""The plan of a row that pools every one but `none`."""
SAMPLES = 1000
"""How often the bootstrap draws."""
INSIDE_THE_NOISE = "inside the noise"


def measure(frames: Frames, *, seed: int = 0, count: int = SAMPLES) -> pd.DataFrame:
    """Compute all measures: a row for each arm, workload and plan that has anything to compute it from.

    Args:
        frames: From one result.
        seed: Of the bootstrap: the same frames and seed, the same intervals.
        count: How many samples it draws.

    Returns:
        The frame `measures`; its columns are in `frames.MEASURES`.
    """
    rows: list[Row] = []
    for each in MEASURES:
        for (arm, workload), of_group in sorted(each.units(frames).items()):
            for plan, units in _by_plan(of_group):
                low, high = _interval(each, units, _Draw(seed, each, workload, plan, count).samples(units, arm))
                rows.append(
                    {
                        **{"arm": arm, "workload": workload, "plan": plan, "measure": each.name},
                        **{"unit": each.unit, "better": each.better, "value": figure(units, each.statistic)},
                        **{"low": low, "high": high, "n": len(units)},
                        "part": sum(unit.part for unit in units) if each.is_rate else math.nan,
                        "of": sum(unit.of for unit in units) if each.is_rate else math.nan,
                    }
                )
    return frame(columns.MEASURES, rows)


def difference(
    frames: Frames,
    arm_a: str,
    arm_b: str,
    *,
    against: Frames | None = None,
    seed: int = 0,
    count: int = SAMPLES,
) -> pd.DataFrame:
    """Hold one arm against another, measure by measure, with an interval of the difference.

    Within one result the arms had their turns in the same rounds, so the same rounds are drawn for both, and a round
    that only one of them has is left out. Rounds of two results have nothing to do with each other.

    Args:
        frames: Of the result that has `arm_a`.
        arm_a: Is looked at.
        arm_b: Is what it is held against; may be the same arm where the results differ.
        against: Of the result that has `arm_b`; None: the same.
        seed: Of the bootstrap.
        count: How many samples it draws.

    Returns:
        The frame `differences`; its columns are in `frames.DIFFERENCES`.
    """
    rows: list[Row] = []
    for each in MEASURES:
        units_a = each.units(frames)
        units_b = units_a if against is None else each.units(against)
        for workload, plan, of_a, of_b in _pairs(units_a, units_b, arm_a, arm_b):
            if against is None:
                of_a, of_b = _same_rounds(of_a, of_b), _same_rounds(of_b, of_a)
            if not of_a or not of_b:
                continue
            draw = _Draw(seed, each, workload, plan, count)
            sampled = _less(
                draw.samples(of_a, f"a {arm_a}"), draw.samples(of_b, f"b {arm_b}", other_rounds=against is not None)
            )
            low, high = _interval(each, [*of_a, *of_b], sampled, least=min(len(of_a), len(of_b)))
            value_a, value_b = figure(of_a, each.statistic), figure(of_b, each.statistic)
            between = float(_less(np.array([value_a]), np.array([value_b]))[0])
            if each.is_exact:
                low = high = between
            rows.append(
                {
                    **{"workload": workload, "plan": plan, "measure": each.name, "unit": each.unit},
                    **{"better": each.better, "arm_a": arm_a, "arm_b": arm_b, "value_a": value_a, "value_b": value_b},
                    **{"difference": between, "low": low, "high": high},
                    "verdict": _verdict(each, low, high),
                }
            )
    return frame(columns.DIFFERENCES, rows)


class _Draw:
    """The draws of one measure on one workload under one plan: rounds are the same for every arm."""

    def __init__(self, seed: int, of: Measure, workload: str, plan: str, count: int) -> None:
        self._seed = [seed, _number(f"{of.name} {workload} {plan}")]
        self._statistic = of.statistic
        self._count = count

    def samples(self, units: list[Unit], arm: str, *, other_rounds: bool = False) -> Numbers:
        return samples(
            units,
            self._statistic,
            count=self._count,
            rounds=np.random.default_rng([*self._seed, int(other_rounds)]),
            items=np.random.default_rng([*self._seed, _number(arm)]),
        )


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


def _by_plan(units: list[Unit]) -> Iterator[tuple[str, list[Unit]]]:
    """Units by their plan, and those of all faults together."""
    for plan in sorted({unit.plan for unit in units}):
        yield plan, [unit for unit in units if unit.plan == plan]
    if faulty := [unit for unit in units if unit.plan not in (NO_FAULTS, ALL)]:
        yield ALL_FAULTS, faulty


def _pairs(a: Units, b: Units, arm_a: str, arm_b: str) -> Iterator[tuple[str, str, list[Unit], list[Unit]]]:
    for arm, workload in sorted(a):
        if arm == arm_a and (arm_b, workload) in b:
            beside = dict(_by_plan(b[arm_b, workload]))
            for plan, units in _by_plan(a[arm, workload]):
                if plan in beside:
                    yield workload, plan, units, beside[plan]


def _same_rounds(units: list[Unit], other: list[Unit]) -> list[Unit]:
    rounds = {(unit.plan, unit.round) for unit in other}
    return [unit for unit in units if (unit.plan, unit.round) in rounds]


def _less(a: Numbers, b: Numbers) -> Numbers:
    """A less b; nothing lies between never and never."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(a) & (a == b), 0.0, a - b)


def _interval(of: Measure, units: list[Unit], sampled: Numbers, *, least: int | None = None) -> tuple[float, float]:
    if of.is_exact:
        return units[0].part, units[0].part
    if (len(units) if least is None else least) < 2:
        return math.nan, math.nan
    return interval(sampled)


def _verdict(of: Measure, low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    if low <= 0 <= high:
        return INSIDE_THE_NOISE
    return "better" if (high < 0) == (of.better == "lower") else "worse"
