"""A case on a Prefect server of the test's own, in a process whose other tests use the session's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from tests.components.prefect_server import PrefectServer
from tests.durable_runs import DurableRuns
from tests.resume.six_step_run import RECORDS
from tests.unit.runtime.approval.test_deciding import Case, ask_for
from triptych.loop.desk import OrderDesk
from triptych.runtime.store import CheckpointStore


@asynccontextmanager
async def case_on(server: PrefectServer, folder: Path, **policy: Any) -> AsyncGenerator[Case]:
    """One call above the threshold, whose run reports to this server."""
    (folder / "store").mkdir(parents=True)
    await _forget_the_server()
    with (
        temporary_settings(
            {PREFECT_API_URL: server.api_url, PREFECT_HOME: server.home, PREFECT_LOGGING_TO_API_ENABLED: False}
        ),
        OrderDesk(f"sqlite:///{folder / 'desk.sqlite'}") as desk,
    ):
        desk.load(RECORDS)
        runs = DurableRuns(CheckpointStore(location=str(folder / "store")), folder)
        try:
            yield Case(runs, desk, ask_for(("#A", 20.0)), **policy)
        finally:
            await _forget_the_server()


async def _forget_the_server() -> None:
    """Have the thread that sends events end: it knows one server, and outlives it badly."""
    await cast(Any, EventsWorker.drain_all(at_exit=False))
