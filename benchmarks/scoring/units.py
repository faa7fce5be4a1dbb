"""What a measure is computed from: frames become units, which are items, trials or deploys with what each adds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import pandas as pd

from benchmarks.scoring.frames import NEVER, Frames
from benchmarks.scoring.resampling import Unit

ALL = "all"
"""The workload or plan of a measure to which it does not matter."""
Group: TypeAlias = tuple[str, str]
"""An arm and a workload."""
Units: TypeAlias = dict[Group, list[Unit]]
UnitsOf: TypeAlias = Callable[[Frames], Units]
Of: TypeAlias = Callable[[Mapping[str, Any]], float]
"""Takes a row of a frame."""


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def _unit(row: Mapping[str, Any], part: float, of: float = 1.0) -> Unit:
    return Unit(str(row["plan"]), int(row["round"]), str(row.get("item", "")), part, of)


def _one(row: Mapping[str, Any]) -> float:
    return 1.0


def column(name: str) -> Of:
    """Return what takes a column's cell."""
    return lambda row: float(row[name])


def or_never(name: str) -> Of:
    """Return what takes a time's cell, where an empty one says that it did not come."""
    return lambda row: NEVER if math.isnan(row[name]) else float(row[name])


def each(name: str, part: Of, of: Of = _one) -> UnitsOf:
    """Return what makes a unit of each row of a frame that has a part and something that it is of."""

    def units_of(frames: Frames) -> Units:
        units: Units = defaultdict(list)
        for row in _records(frames._asdict()[name]):
            unit = _unit(row, part(row), of(row))
            if unit.of > 0 and not math.isnan(unit.part):
                units[row["arm"], row["workload"]].append(unit)
        return units

    return units_of


def by_item(frame: pd.DataFrame, part: Of, of: Of) -> Units:
    """Make a unit of each item: rows of one item are never drawn apart."""
    return _added_up(frame, part, of, lambda row: str(row["item"]))


def _added_up(frame: pd.DataFrame, part: Of, of: Of, name: Callable[[Mapping[str, Any]], str]) -> Units:
    sums: dict[Group, dict[tuple[str, int, str], list[float]]] = defaultdict(dict)
    for row in _records(frame):
        total = sums[row["arm"], row["workload"]].setdefault((row["plan"], row["round"], name(row)), [0.0, 0.0])
        total[0] += part(row)
        total[1] += of(row)
    return {
        group: [Unit(*key, part, of) for key, (part, of) in of_group.items() if of > 0 and not math.isnan(part)]
        for group, of_group in sums.items()
    }


def _where_any(units: Units) -> Units:
    """Only rounds with anything that the parts are of: one without crashes says nothing of them."""
    kept: Units = {}
    for group, of in units.items():
        total: dict[tuple[str, int], float] = defaultdict(float)
        for unit in of:
            total[unit.plan, unit.round] += unit.of
        kept[group] = [unit for unit in of if total[unit.plan, unit.round] > 0]
    return kept


def persistence(frames: Frames) -> Units:
    """Steps kept, of those completed."""
    return by_item(frames.steps, column("kept"), column("completed"))


def unavoidable(frames: Frames) -> Units:
    """Steps that are not kept for the one reason that nobody could have kept them, of those completed."""

    def only_reason(row: Mapping[str, Any]) -> float:
        return float(row["unavoidable"] and not row["corrupted"] and not row["lost"])

    return by_item(frames.steps, only_reason, column("completed"))


def success(frames: Frames) -> Units:
    """Effects that succeeded, of those intended."""
    return by_item(frames.effects, column("success"), column("intended"))


def unasked(frames: Frames) -> Units:
    """Effects made unasked, of those that a person has to approve."""
    return by_item(frames.effects, column("unasked"), column("needs_person"))


def duplicates(frames: Frames) -> Units:
    """Effects made once too often, of crashes."""
    effects: dict[tuple[Any, ...], float] = defaultdict(float)
    for row in _records(frames.effects):
        effects[_who(row)] += max(row["applied"] - 1, 0)
    units: Units = defaultdict(list)
    for row in _records(frames.items):
        units[row["arm"], row["workload"]].append(_unit(row, effects[_who(row)], float(row["crashes"])))
    return _where_any(units)


def _who(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("arm", "workload", "plan", "round", "item"))


def silent(frames: Frames) -> Units:
    """Silent failures, of faults."""
    units: Units = defaultdict(list)
    for row in _records(frames.items):
        units[row["arm"], row["workload"]].append(_unit(row, float(row["silent_failure"]), float(row["faults"])))
    return _where_any(units)


def cost(*columns: str) -> UnitsOf:
    """Return what makes a unit of each trial: compute is measured once in it, however many items share it."""

    def units_of(frames: Frames) -> Units:
        return _added_up(frames.items, lambda row: sum(float(row[name]) for name in columns), _one, lambda row: "")

    return units_of


def user_code(frames: Frames) -> Units:
    """Lines of user code."""
    return {(row["arm"], ALL): [Unit(ALL, 0, "", float(row["lines"]))] for row in _records(frames.user_code)}
