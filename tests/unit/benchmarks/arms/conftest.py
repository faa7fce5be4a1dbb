"""One world for the tests of a module, and arms in it.

Of the arms that are a stack of services, which take minutes each, a run tests one, another by another seed; `make soak`
tests them all. The smoke profile has `layered` in every run: `tests/e2e/test_architectures.py`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.unit.benchmarks.arms.arena import Serve, World, arena

SLOW = ("test_layered", "test_layered_s3", "test_prefect_durability", "test_dbos_durability")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow arms that are not this seed's."""
    if os.environ.get("TRIPTYCH_ARMS") == "all":
        return
    chosen = SLOW[int(os.environ.get("TRIPTYCH_SEED", "0")) % len(SLOW)]
    others = [item for item in items if item.path.stem in SLOW and item.path.stem != chosen]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """The real world; its first trial starts it."""
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


@pytest.fixture
def serve(world: World, tmp_path: Path) -> Serve:
    """Serves an arm: `with serve("while_loop", items, *faults) as arena`."""
    return functools.partial(arena, world, tmp_path)
