"""From frames to measures with their intervals, and to what lies between two arms or two results."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.scoring import between_rounds
from benchmarks.scoring import frames as columns
from benchmarks.scoring.frames import Frames, Row, frame
from benchmarks.scoring.measures import MEASURES, Measure
from benchmarks.scoring.resampling import Numbers, Unit, figure, interval, samples
from benchmarks.scoring.trial_rows import NO_FAULTS
from benchmarks.scoring.units import ALL, Units

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
                value = figure(units, each.statistic)
                low, high = _interval(each, units, arm, value, _Draw(seed, each, workload, plan, count))
                rows.append(
                    {
                        **{"arm": arm, "workload": workload, "plan": plan, "measure": each.name},
                        **{"unit": each.unit, "better": each.better, "value": value},
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

    Within one result the arms had their turns in the same rounds, so they are held against each other round by round,
    and a round that only one of them has is left out. Rounds of two results have nothing to do with each other. With
    one round there is no interval, and no verdict, of what depends on the machine: in it one arm has its turn after
    another.

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
            value_a, value_b = figure(of_a, each.statistic), figure(of_b, each.statistic)
            between = _less(value_a, value_b)
            pair = _Pair(arm_a, of_a, arm_b, of_b, has_same_rounds=against is None)
            low, high = _interval_of_difference(each, pair, between, _Draw(seed, each, workload, plan, count))
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


def _less(a: float, b: float) -> float:
    """A less b; nothing lies between never and never."""
    return 0.0 if a == b else a - b


class _Pair(NamedTuple):
    arm_a: str
    a: list[Unit]
    arm_b: str
    b: list[Unit]
    has_same_rounds: bool


def _interval(of: Measure, units: list[Unit], arm: str, value: float, draw: _Draw) -> tuple[float, float]:
    if of.noise == "none":
        return value, value
    if of.noise == "rounds":
        low, high = between_rounds.interval([*between_rounds.figures(units, of.statistic).values()], value)
        # Of what is never less than nothing two rounds would allow for that too.
        return (max(low, 0.0) if all(unit.part >= 0 for unit in units) else low), high
    return interval(draw.samples(units, arm)) if _varies(units) else (math.nan, math.nan)


def _interval_of_difference(of: Measure, pair: _Pair, value: float, draw: _Draw) -> tuple[float, float]:
    if of.noise == "none":
        return value, value
    if of.noise == "rounds":
        a, b = (between_rounds.figures(units, of.statistic) for units in (pair.a, pair.b))
        if pair.has_same_rounds:
            return between_rounds.interval([_less(a[number], b[number]) for number in a], value)
        return between_rounds.interval_of_unpaired([*a.values()], [*b.values()], value)
    if not (_varies(pair.a) and _varies(pair.b)):
        return math.nan, math.nan
    a = draw.samples(pair.a, f"a {pair.arm_a}")
    b = draw.samples(pair.b, f"b {pair.arm_b}", other_rounds=not pair.has_same_rounds)
    return interval(a - b)


def _varies(units: list[Unit]) -> bool:
    """Whether anything can be drawn: where each plan has a single item, nothing is known of how others would differ."""
    return max(Counter(unit.plan for unit in units).values()) > 1


def _verdict(of: Measure, low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    if low <= 0 <= high:
        return INSIDE_THE_NOISE
    return "better" if (high < 0) == (of.better == "lower") else "worse"
