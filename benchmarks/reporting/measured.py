"""The frames `measures` and `differences`, to be asked for one figure at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import pandas as pd

from benchmarks.reporting.numbers import Figure

Frames: TypeAlias = Mapping[str, pd.DataFrame]
"""By name, as `benchmarks.scoring.frames.COLUMNS` has them; one that is missing counts as empty."""


class Named(Protocol):
    """Frames as a named tuple has them."""

    def _asdict(self) -> dict[str, pd.DataFrame]: ...


def by_name(frames: Frames | Named) -> Frames:
    """Return frames by name."""
    return frames if isinstance(frames, Mapping) else frames._asdict()  # pyright: ignore[reportPrivateUsage]


ALL_FAULTS = "all faults"
"""The plan of a row that pools every one but `none`."""
US = "layered"
"""The arm that the others are held against."""
_ORDER = (US, "while_loop", "monolith", "layered_s3", "while_loop_keyed", "prefect_durability", "dbos")
BETTER, WORSE, NOISE, NO_INTERVAL = "better", "worse", "inside the noise", "no interval"


class Key(NamedTuple):
    """Which measure, on what."""

    measure: str
    workload: str
    plan: str


class Measured(NamedTuple):
    """A row of `measures`."""

    arm: str
    key: Key
    unit: str
    better: str
    figure: Figure
    n: int
    """Runs, trials or deploys behind it."""
    part: float | None
    of: float | None
    """Of a rate: what was counted, and of how many."""


class Difference(NamedTuple):
    """What one arm's figure is over another's."""

    figure: Figure
    verdict: str
    """Of the first: `better`, `worse`, `inside the noise`, `no interval`."""


def in_order(arms: Iterable[str]) -> list[str]:
    """Return arms in the order of every table and legend: ours, its two rivals, and the others."""
    return sorted(arms, key=lambda arm: (_ORDER.index(arm) if arm in _ORDER else len(_ORDER), arm))


_FLIPPED = {BETTER: WORSE, WORSE: BETTER}


def records(frames: Frames, name: str) -> list[dict[str, Any]]:
    """Return a frame's rows; none if it is not there. What is empty is None."""
    if name not in frames:
        return []
    rows = cast("list[dict[str, Any]]", frames[name].to_dict("records"))
    return [{column: _filled(cell) for column, cell in row.items()} for row in rows]


def _filled(cell: Any) -> Any:
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _by_number(key: Key) -> tuple[str, int, bool, str]:
    """What workloads and plans are sorted by: `steps-50` before `steps-200`, and all faults after each."""
    name, number = re.fullmatch(r"(.*?)(\d*)", key.workload, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return name, int(number or 0), key.plan == ALL_FAULTS, key.plan


class Results:
    """All measures of a result.

    Attributes:
        arms: In the order of the report.
        keys: Every measure on every workload and plan: measures in the frame's order, shorter workloads first.
        shown: The same without what all faults have together where there is one fault plan alone.
    """

    def __init__(self, frames: Frames) -> None:
        """Read the frames `measures` and `differences`."""
        self.frames = frames
        self._by: dict[tuple[str, Key], Measured] = {}
        for row in records(frames, "measures"):
            key = Key(row["measure"], row["workload"], row["plan"])
            figure = Figure(row["value"], row["low"], row["high"])
            measured = Measured(
                row["arm"], key, row["unit"], row["better"], figure, int(row["n"]), row.get("part"), row.get("of")
            )
            self._by[row["arm"], key] = measured
        self._differences: dict[tuple[str, str, Key], Difference] = {}
        for row in records(frames, "differences"):
            key = Key(row["measure"], row["workload"], row["plan"])
            figure = Figure(row["difference"], row["low"], row["high"])
            self._differences[row["arm_a"], row["arm_b"], key] = Difference(figure, row["verdict"])
        self.arms = tuple(in_order({arm for arm, _ in self._by}))
        keys = dict.fromkeys(key for _, key in self._by)
        measures = list(dict.fromkeys(key.measure for key in keys))
        self.keys = tuple(sorted(keys, key=lambda key: (measures.index(key.measure), *_by_number(key))))
        self.shown = tuple(key for key in self.keys if not self._is_told_already(key))

    def _is_told_already(self, key: Key) -> bool:
        if key.plan != ALL_FAULTS:
            return False
        plans = {each.plan for each in self.keys if each[:2] == key[:2]}
        return len(plans - {ALL_FAULTS, "none"}) == 1

    def plans_of(self, workload: str) -> tuple[str, ...]:
        """Return the fault plans that a workload met here, which `all faults` pools."""
        plans = {key.plan for key in self.keys if key.workload == workload}
        return tuple(sorted(plans - {ALL_FAULTS, "none", "all"}))

    def of(self, arm: str, key: Key) -> Measured | None:
        """Return a measure of an arm; None if it was not measured."""
        return self._by.get((arm, key))

    def figure(self, arm: str, key: Key) -> Figure:
        """Return a figure of an arm, one without a value if it was not measured."""
        measured = self.of(arm, key)
        return Figure(None) if measured is None else measured.figure

    def any_of(self, key: Key) -> Measured | None:
        """Return the measure of whichever arm has it, for its unit."""
        return next((self._by[arm, key] for arm in self.arms if (arm, key) in self._by), None)

    def against_us(self, arm: str, key: Key) -> Difference | None:
        """Return how an arm's figure stands to the layered arm's; None if one of them was not measured.

        Whichever way round the frame has the pair.
        """
        found = self._differences.get((arm, US, key))
        if found is not None:
            return found
        found = self._differences.get((US, arm, key))
        if found is None:
            return None
        value, low, high = found.figure
        flipped = Figure(
            None if value is None else -value, None if high is None else -high, None if low is None else -low
        )
        return Difference(flipped, _FLIPPED.get(found.verdict, found.verdict))
