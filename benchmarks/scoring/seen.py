"""Which trials and items say something about their arm, and which are left out because they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.contract import Item, ItemTrial, LedgerLine, Trial
from benchmarks.scoring.frames import Row
from benchmarks.scoring.ledgers import by_item, kill_that_was_missed


class SeenItem(NamedTuple):
    """An item of a trial, and all that is known of it."""

    trial: Trial
    item: Item
    came_of: ItemTrial
    lines: Sequence[LedgerLine]
    """Its part of the ledger, the oldest first."""

    @property
    def key(self) -> Row:
        """The columns by which its rows are known."""
        return {**key(self.trial), "item": self.item.id}

    @property
    def is_done(self) -> bool:
        """Whether it ended as it should, as its arm tells it."""
        return self.came_of.state == "done"


class SeenTrial(NamedTuple):
    """A trial that says something about its arm."""

    trial: Trial
    items: Sequence[SeenItem]
    """Those that are counted."""
    ledger: dict[str, list[LedgerLine]]
    """Of all items, also those that are not."""


class Seen(NamedTuple):
    """All trials, sorted out."""

    trials: Sequence[SeenTrial]
    left_out: Sequence[Row]


def key(trial: Trial) -> Row:
    """Return the columns by which a trial's rows are known."""
    return {"arm": trial.arm, "workload": trial.workload, "plan": trial.plan.name, "round": trial.round}


def sort_out(trials: Iterable[Trial]) -> Seen:
    """Take what counts, in an order that is not that of the trials.

    Left out are trials in which the harness failed, or what was to strike the whole arm did not, items that were never
    handed in, and items of which the process that was to be killed was not. What an arm itself could not do counts.
    """
    # Told apart by all they hold where their names are the same, as those of a round that was run twice.
    ordered = sorted(
        trials, key=lambda each: (each.arm, each.workload, each.plan.name, each.round, each.model_dump_json())
    )
    seen: list[SeenTrial] = []
    left_out: list[Row] = []
    for trial in ordered:
        if (reason := _why_none(trial)) is not None:
            left_out.append({**key(trial), "items": len(trial.items), "item": "", "reason": reason})
            continue
        ledger = by_item(trial.ledger)
        came_of = {each.item: each for each in trial.came_of}
        items: list[SeenItem] = []
        for item in trial.items:
            lines = ledger.get(item.id, [])
            reason = _why_not(item.id in came_of, lines)
            if reason is None:
                items.append(SeenItem(trial, item, came_of[item.id], lines))
            else:
                left_out.append({**key(trial), "items": 1, "item": item.id, "reason": reason})
        seen.append(SeenTrial(trial, items, ledger))
    return Seen(seen, left_out)


def _why_none(trial: Trial) -> str | None:
    if trial.harness_failure is not None:
        return f"the harness failed: {trial.harness_failure}"
    to_strike = Counter(each.what for each in trial.plan.happenings)
    spared = to_strike - Counter(each.what for each in trial.struck)
    if spared and trial.arm_failure is None and not _asked_nobody(trial):
        what = ", ".join(each.replace("_", " ") for each in sorted(spared))
        return f"the plan's {what} never struck, so this says nothing about it"
    return None


def _asked_nobody(trial: Trial) -> bool:
    """Whether people were to be asked, and the arm asked none: then it is its own doing that nothing struck."""
    are_to_be = any(action.approval != "none" for item in trial.items for action in item.actions)
    return are_to_be and not any(each.asked for each in trial.came_of)


def _why_not(is_handed_in: bool, lines: Sequence[LedgerLine]) -> str | None:
    if not is_handed_in:
        return "the harness never handed it in"
    missed = kill_that_was_missed(lines)
    if missed is not None:
        return f"the process behind {missed.kind} {missed.step} was to be killed, and was not found"
    return None
