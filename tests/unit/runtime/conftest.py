"""Fixtures of the runtime's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.prefect_server import PrefectServer
from tests.durable_runs import DurableRuns
from tests.resume.six_step_run import RECORDS
from triptych.loop.desk import OrderDesk
from triptych.runtime.store import CheckpointStore


@pytest.fixture
def runs(tmp_path: Path, prefect_server: PrefectServer) -> DurableRuns:
    """Flow runs on a real server, over a folder."""
    folder = tmp_path / "store"
    folder.mkdir()
    return DurableRuns(CheckpointStore(location=str(folder)), tmp_path)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[OrderDesk]:
    """An order desk with three orders, #A, #B and #C."""
    with OrderDesk(f"sqlite:///{tmp_path / 'desk.sqlite'}") as desk:
        desk.load(RECORDS)
        yield desk
