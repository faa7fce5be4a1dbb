"""What became of one killed item in each arm, event by event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from benchmarks.contract import ItemTrial, Trial
from benchmarks.scoring.frames import Column, Row, frame

TIMELINE: dict[str, Column] = {
    "arm": Column("str", "which architecture"),
    "workload": Column("str", "what it was given to do"),
    "plan": Column("str", "the fault plan's name"),
    "round": Column("int", "in which round"),
    "item": Column("str", "the item's id: the same for every arm, where one of them was killed in all"),
    "seconds": Column("float", "since its submission"),
    "event": Column("str", "`submitted`, `ended`, or an event of the ledger"),
    "kind": Column("str", "`request` or `call`; empty: of the item itself"),
    "step": Column("int", "which request or call; -1: of the item itself"),
    "attempt": Column("int", "how often the step had been begun; 0: of the item itself"),
}
"""A row: one event of the item."""
_PLANS = ("kills", "mixed")
"""Whose kills are shown rather than others'."""


def timeline(trials: Iterable[Trial]) -> pd.DataFrame:
    """Return the events of one killed item of each arm.

    It is the item that was killed in the most arms; an arm in which that one was not killed has another of its own, or,
    where none was killed, no row.

    Args:
        trials: Of any arms, workloads, plans and rounds. Those in which the harness failed are passed over.

    Returns:
        A frame with the columns of `TIMELINE`, by arm and time.
    """
    killed: dict[str, dict[tuple[int, int, str], Trial]] = {}
    for trial in trials:
        if trial.harness_failure is None:
            for item in {line.item for line in trial.ledger if line.event == "killed"}:
                rank = _PLANS.index(trial.plan.name) if trial.plan.name in _PLANS else len(_PLANS)
                killed.setdefault(trial.arm, {})[rank, trial.round, item] = trial
    in_how_many = {each: sum(each in of for of in killed.values()) for of in killed.values() for each in of}
    rows: list[Row] = []
    for arm in sorted(killed):
        shown = min(killed[arm], key=lambda each: (-in_how_many[each], each))
        rows += _events(killed[arm][shown], shown[2])
    return frame(TIMELINE, rows)


def _events(trial: Trial, item: str) -> Sequence[Row]:
    came_of: ItemTrial | None = next((each for each in trial.came_of if each.item == item), None)
    lines = sorted((line for line in trial.ledger if line.item == item), key=lambda line: line.at)
    began = lines[0].at if came_of is None else came_of.submitted_at
    common: Row = {
        "arm": trial.arm,
        "workload": trial.workload,
        "plan": trial.plan.name,
        "round": trial.round,
        "item": item,
    }
    own: Row = {"kind": "", "step": -1, "attempt": 0}
    rows: list[Row] = [{**common, "seconds": 0.0, "event": "submitted", **own}]
    for line in lines:
        step: Row = {"kind": line.kind, "step": line.step, "attempt": line.attempt}
        rows.append({**common, "seconds": line.at - began, "event": line.event, **step})
    if came_of is not None and came_of.ended_at is not None:
        rows.append({**common, "seconds": came_of.ended_at - began, "event": "ended", **own})
    return rows
