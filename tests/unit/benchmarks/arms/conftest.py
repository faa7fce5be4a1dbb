"""One world for the tests of a module, and arms in it.

The arms that are a stack of services take minutes each: `make soak` tests them (`TRIPTYCH_SAMPLE=all`), with what is
slow of the others, and every run has `layered` in the smoke profile, `tests/e2e/test_architectures.py`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.unit.benchmarks.arms.arena import Serve, World, arena


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow arms where they were not asked for."""
    slow = [item for item in items if _is_slow_arm_test(item)]
    if slow and os.environ.get("TRIPTYCH_SAMPLE") != "all":
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def _is_slow_arm_test(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent and item.get_closest_marker("slow") is not None


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
