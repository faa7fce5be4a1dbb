"""One world for all of these tests, each of which gives it a job of its own."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.unit.benchmarks.world.playing import Playing, served


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[Playing]:
    """A world that is up, and has no job yet."""
    with served(tmp_path_factory.mktemp("world")) as playing:
        yield playing
