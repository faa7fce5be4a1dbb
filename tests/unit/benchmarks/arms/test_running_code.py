"""Arms without a sandbox run a model's code on their own machine, where it gets at all that they have.

What the same code gets at in the layered arm: `tests/e2e/hands/test_benchmark_coding.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from pathlib import Path

import pytest

from benchmarks.contract import Fault
from benchmarks.workloads import coding
from tests.components import require
from tests.unit.benchmarks.arms.arena import SLOW, Serve, World, arena

ITEMS = coding.items(1, 2)
ONE = ITEMS[0].id


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """A world that tells arms of a tool which runs code."""
    world = World(tmp_path_factory.mktemp("world"), with_code=True)
    yield world
    world.stop()


@pytest.fixture
def serve(world: World, tmp_path: Path) -> Serve:
    return functools.partial(arena, world, tmp_path)


@pytest.mark.parametrize("arm", ["while_loop", "monolith", "dbos"])
def test_code_does_its_work_and_takes_the_credential(serve: Serve, arm: str) -> None:
    require("rivals")
    with serve(arm, ITEMS) as arena:
        arena.submit()
        arena.done()
        for id in arena.items:
            assert arena.corrupted(id) == []
            assert arena.effects(id) == 1
            assert [line.step for line in arena.lines(id, event="taken")] == [1]


def test_files_outlive_a_kill_of_the_monolith(serve: Serve) -> None:
    require("rivals")
    kill = Fault(item=ONE, kind="request", step=2, what="kill")
    with serve("monolith", ITEMS, kill, pace=SLOW) as arena:
        arena.submit()
        arena.done()
        assert len(arena.lines(ONE, event="killed")) == 1
        # The module of the call before was there.
        assert arena.times(ONE, "request") == [1, 1, 2, 1, 1, 1]


def test_an_invocation_that_begins_anew_writes_its_files_anew(serve: Serve) -> None:
    kill = Fault(item=ONE, kind="request", step=2, what="kill")
    with serve("while_loop", ITEMS, kill, pace=SLOW) as arena:
        arena.submit()
        arena.done()
        assert arena.times(ONE, "request") == [2, 2, 2, 1, 1, 1]
        assert arena.corrupted(ONE) == []
