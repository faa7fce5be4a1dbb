"""What arms are given to do. A workload makes so many items from a seed; a new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks.contract import Item
from benchmarks.workloads import approvals, coding, retail, steps
from benchmarks.workloads.tickets import ticket

Workload: TypeAlias = Callable[[int, int], tuple[Item, ...]]
"""Takes a seed and a count; the same of both, the same items."""

WORKLOADS: dict[str, Workload] = {
    "retail": retail.items,
    "approvals": approvals.items,
    "coding": coding.items,
    "throughput": steps.short,
    "steps-10": partial(steps.chains, 10),
    "steps-50": partial(steps.chains, 50),
    "steps-200": partial(steps.chains, 200),
}
"""By name."""


def make_items(name: str, seed: int, count: int, *, tau: Path | None = None) -> tuple[Item, ...]:
    """Make the items of a workload.

    Args:
        name: Of `WORKLOADS`.
        seed: Of whatever is drawn.
        count: How many.
        tau: The public retail tasks, to be taken for `retail` instead of our own; see `retail.from_tau`.

    Raises:
        KeyError: there is no such workload.
        ConfigurationError: the public tasks cannot be read.
    """
    if name == "retail" and tau is not None:
        return retail.drawn(retail.from_tau(tau), seed, count)
    return WORKLOADS[name](seed, count)


def renamed(item: Item, prefix: str) -> Item:
    """Return an item under another id, `<prefix>-<id>`, also where its instruction says it.

    Args:
        item: The item.
        prefix: Lower-case letters, digits and hyphens.
    """
    id = f"{prefix}-{item.id}"
    words = item.instruction.removeprefix(ticket(item.id))
    return Item.model_validate(item.model_dump() | {"id": id, "instruction": f"{ticket(id)}{words}"})
