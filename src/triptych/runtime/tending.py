"""What becomes of a brain whose container and run no longer fit together: both end truthfully, and nothing is left.

A worker that was killed leaves its containers, and a cancelled run ends by its own process, which may not listen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from triptych.errors import SandboxUnavailable
from triptych.sandbox.client import Client
from triptych.sandbox.folder import socket_path
from triptych.settings import Settings

LOOK_SECONDS = 5.0
GRACE_SECONDS = 30.0
"""How long a container may outlive what it is for: the end of a run, or its wait for a person without a process."""
CANCEL_SECONDS = 60.0
"""How long a cancelled run may take to end by itself."""


async def tend_brains(settings: Settings, say: Callable[[str], None]) -> None:
    """Look after the brains of this home's broker, until cancelled.

    Args:
        settings: `home` is where the broker has its socket.
        say: Called with a line for each container or run that is ended, and with why nobody could be looked after.
    """
    broker = Client(socket_path(settings.sandbox_folder))
    said: str | None = None
    try:
        while True:
            problem = None
            try:
                async with get_client() as client:
                    for line in await tend_once(client, broker):
                        say(line)
            except Exception as error:  # whatever a transport raises: this loop must outlive it
                problem = f"containers of brains are not looked after ({type(error).__name__}: {error}); trying again"
            if problem is not None and problem != said:
                say(problem)
            said = problem
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await broker.close()


async def tend_once(client: PrefectClient, broker: Client) -> list[str]:
    """End what is over.

    Args:
        client: The API.
        broker: Lists the containers of brains, and ends them.

    Returns:
        What was done, a line a container.
    """
    done: list[str] = []
    seen: set[UUID] = set()
    for row in sorted(await broker.brains(), key=lambda row: row["made"], reverse=True):
        run_id = UUID(row["flow_run_id"])
        if run_id in seen:
            # Of several containers of one run, the newest is its own.
            why = "it is an earlier execution's"
        else:
            seen.add(run_id)
            run = await _read(client, run_id)
            why = _why_over(run, row["made"])
            if why is not None and run is not None and run.state is not None and run.state.is_cancelling():
                await client.set_flow_run_state(run_id, Cancelled(message=f"It was ended: {why}"))
        if why is None:
            continue
        try:
            await broker.end_brain(row["container"])
        except SandboxUnavailable as error:
            done.append(f"{run_id}: a container that is over ({why}) could not be ended: {error}")
        else:
            done.append(f"{run_id}: a container is ended ({why})")
    return done


def _why_over(run: FlowRun | None, made: float) -> str | None:
    """Return why a run's container has no business any more; None where it has."""
    if run is None or run.state is None:
        return "its run is unknown" if time.time() - made >= GRACE_SECONDS else None
    # A container that is younger than the state is for what comes next.
    since = min(_age(run), time.time() - made)
    if run.state.is_cancelling() and since >= CANCEL_SECONDS:
        return f"it did not end within {CANCEL_SECONDS:.0f} s of being cancelled"
    if (run.state.is_final() or run.state.name == "Suspended") and since >= GRACE_SECONDS:
        return f"it is {run.state.name}"
    return None


def _age(run: FlowRun) -> float:
    """Return for how many seconds a run has been in its state."""
    return (datetime.now(UTC) - run.state.timestamp).total_seconds() if run.state is not None else 0.0


async def _read(client: PrefectClient, run_id: UUID) -> FlowRun | None:
    try:
        return await client.read_flow_run(run_id)
    except ObjectNotFound:
        return None
