"""An arm that takes a minute to come up, served once for all tests of a module, each with items of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from benchmarks.arms import load_arm
from benchmarks.arms.processes import marked
from benchmarks.arms.protocol import Place
from benchmarks.contract import Fault, FaultPlan, Item
from tests.unit.benchmarks.arms.arena import FAST, PROJECT, Arena, World, version

RECOVERY_SECONDS = 300.0
"""The recovery loop as it is shipped waits up to three minutes for a worker's last word, on a machine that is busy."""

Trial = Callable[..., Arena]
"""Begins a trial: `trial(items, *faults)`."""


@contextlib.contextmanager
def one_stack(world: World, folder: Path, arm: str) -> Generator[Trial]:
    """Serve an arm; afterwards no process of it may be left."""
    _play(world, (), (), "")
    place = Place(
        folder=folder / "arm",
        model_url=f"{world.url}/v1",
        mark=f"test-{arm}-{folder.name}-{id(folder)}",
        python=sys.executable,
        project=PROJECT,
        instructions=folder / "instructions.txt",
    )
    place.folder.mkdir()
    version(place, 1)
    with load_arm(arm).serve(place) as served:

        def trial(items: tuple[Item, ...], *faults: Fault, pace: dict[str, Any] = FAST) -> Arena:
            return Arena(world, served, place, _play(world, items, faults, place.mark, pace), items)

        yield trial
    assert marked(place.mark) == []


def _play(world: World, items: tuple[Item, ...], faults: tuple[Fault, ...], mark: str, pace: Any = FAST) -> Path:
    plan = FaultPlan(name="test", seed=1, faults=faults)
    return world.play(
        {
            "items": [item.model_dump(mode="json") for item in items],
            "plan": plan.model_dump(mode="json"),
            "pace": pace,
            "marks": [mark] if mark else [],
        }
    )
