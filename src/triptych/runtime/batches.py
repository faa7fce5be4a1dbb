"""Many flow runs that belong to one: started once each, waited for, and summed up when the last of them ends.

They are top-level runs, since a subflow can be neither paused for long nor brought back by itself. A tag says which run
they belong to; a run may belong to several.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound

from triptych.errors import ConfigurationError
from triptych.records import Record
from triptych.runtime.queries import flow_runs_tagged, outcome_of
from triptych.runtime.recovery import RAISED, is_brought_back

_logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
CRASHED_PATIENCE_SECONDS = 600.0
"""How long a crashed run may take to be brought back before its row says that it failed."""


class Row(Protocol):
    """What became of one run: a row of the summary."""

    @property
    def status(self) -> str:
        """`running` while it is not at its end, `waiting` while a person is waited for; anything else is final."""
        ...


async def _nothing_more(run: FlowRun) -> dict[str, Any]:
    return {}


RowT = TypeVar("RowT", bound=Row)
RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Standing(Generic[RecordT]):
    """How a run stands."""

    status: Literal["completed", "failed", "waiting", "running"]
    """`waiting`: paused or suspended for a person. `running`: not at its end, also when not started yet."""
    report: RecordT | None = None
    why: str = ""
    """Why there is no report, of a run at its end."""


@dataclass(frozen=True)
class Started:
    """A run of the batch."""

    run: FlowRun
    earlier: bool
    """Whether it was there before this batch."""


@dataclass(frozen=True)
class Batch(Generic[RowT]):
    """How runs of one kind are started, and what is said of them.

    Args:
        kind: What the tag begins with: `inbox`, say.
        deployment: What is started, `flow/deployment`.
        row: Says what became of a run. The second argument says whether a crashed one has been given up.
        noun: What the runs are about: `tickets`, say.
        inherited: Says what a run that is started in the place of another is told beside its own parameters, by that
            other.
    """

    kind: str
    deployment: str
    row: Callable[[FlowRun, bool], Awaitable[RowT]]
    noun: str
    inherited: Callable[[FlowRun], Awaitable[dict[str, Any]]] = _nothing_more

    def tag(self, parent: UUID) -> str:
        """Return what marks the runs that belong to one."""
        return f"{self.kind}:{parent}"

    def parents(self, run: FlowRun) -> list[UUID]:
        """Return the runs that a run belongs to."""
        start = f"{self.kind}:"
        return [UUID(tag.removeprefix(start)) for tag in run.tags if tag.startswith(start)]

    async def start(
        self, client: PrefectClient, name: str, parameters: dict[str, Any], *, parent: UUID, key: str, again: bool
    ) -> Started:
        """Start a run, or find the one there is for the same.

        Args:
            client: The API.
            name: The run's.
            parameters: The run's.
            parent: Which run it belongs to.
            key: What makes it this one: the same from a schedule, or from a parent that was executed again, finds the
                run that there is.
            again: Start a new one where the last failed. One that completed is never started again: its effects are
                applied.
        """
        tag = self.tag(parent)
        told = parameters
        for attempt in itertools.count(1):
            run = await arun_deployment(
                self.deployment,
                client=client,
                parameters=told,
                flow_run_name=name,
                tags=[tag],
                timeout=0,
                as_subflow=False,
                idempotency_key=key if attempt == 1 else f"{key}-{attempt}",
            )
            earlier = tag not in run.tags
            if again and earlier and _came_to_nothing(run):
                told = {**parameters, **await self.inherited(run)}
                continue
            if earlier:
                await client.update_flow_run(run.id, tags={*run.tags, tag})
            return Started(run, earlier)
        raise AssertionError("unreachable")

    async def wait(self, client: PrefectClient, parent: UUID, ids: Sequence[UUID]) -> list[RowT]:
        """Wait until each run is at its end or waits for a person; return their rows in the order of `ids`."""
        crashed_since: dict[UUID, float] = {}
        settled: dict[UUID, RowT] = {}
        bar, shown = await self._show(None, 0.0), 0
        while True:
            for run in await flow_runs_tagged(client, self.tag(parent)):
                if run.id in settled and settled[run.id].status != "waiting":
                    continue
                if is_brought_back(run):
                    since = crashed_since.setdefault(run.id, time.monotonic())
                    given_up = time.monotonic() - since > CRASHED_PATIENCE_SECONDS
                else:
                    crashed_since.pop(run.id, None)
                    given_up = False
                row = await self.row(run, given_up)
                if row.status == "running":
                    settled.pop(run.id, None)
                else:
                    settled[run.id] = row
            if len(settled) != shown:
                shown = len(settled)
                _logger.info("%d of %d %s at their end, or waiting for a person", shown, len(ids), self.noun)
                await self._show(bar, 100.0 * shown / len(ids))
            if shown == len(ids):
                return [settled[run_id] for run_id in ids]
            await asyncio.sleep(POLL_SECONDS)

    async def ended_parents(self, run: FlowRun) -> list[tuple[FlowRun, list[RowT]]]:
        """Return the batches at their end that a run belongs to, or is, each with its rows of now.

        For a hook of both flows, of a run that ended and of a batch that ended: a batch that has not ended writes its
        summary itself, and whichever of the two ends last finds the other at its end.
        """
        found: list[tuple[FlowRun, list[RowT]]] = []
        async with get_client() as client:
            for parent_id in self.parents(run) or [run.id]:
                try:
                    parent = await client.read_flow_run(parent_id)
                except ObjectNotFound:
                    continue
                if parent.state is None or not parent.state.is_final():
                    continue
                children = await flow_runs_tagged(client, self.tag(parent_id))
                if children:
                    found.append((parent, [await self.row(child, False) for child in children]))
        return found

    async def _show(self, bar: UUID | None, percent: float) -> UUID:
        if bar is None:
            return await acreate_progress_artifact(
                progress=percent, description=f"{self.noun.capitalize()} at their end"
            )
        await aupdate_progress_artifact(bar, progress=percent)
        return bar


async def standing(run: FlowRun, record: type[RecordT], *, given_up: bool) -> Standing[RecordT]:
    """Return how a run stands, by its state in Prefect and by what it left.

    Args:
        run: The run.
        record: What a run of its kind ends with.
        given_up: Whether one that the recovery loop brings back is not waited for any more.
    """
    state = run.state
    if state is None or not (state.is_final() or state.is_paused()):
        return Standing("running")
    if state.is_paused():
        return Standing("waiting")
    report = await outcome_of(run, record)
    if report is not None:
        return Standing("completed" if state.is_completed() else "failed", report)
    if is_brought_back(run) and not given_up:
        return Standing("running")
    if state.is_completed():
        # It was done, and what it came to has been pruned since.
        return Standing("completed", why="its report is no longer in the store")
    # Prefect's words before an exception say nothing that the status does not.
    return Standing("failed", why=(state.message or "").removeprefix(RAISED))


def _came_to_nothing(run: FlowRun) -> bool:
    """Whether a run is over without success; one that the recovery loop brings back is not."""
    state = run.state
    return state is not None and state.is_final() and not state.is_completed() and not is_brought_back(run)


def state_name(run: FlowRun) -> str:
    """Return the name of a run's state, as Prefect's UI shows it."""
    return "Unknown" if run.state is None else run.state.name or run.state.type.value


def key_of(kind: str, about: object) -> str:
    """Return the key of a run, from what it is about: anything that JSON can hold."""
    return f"{kind}-{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()}"


def this_run() -> UUID:
    """Return the id of the flow run in whose body this is called.

    Raises:
        ConfigurationError: outside a flow.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ConfigurationError("a batch of runs is started in a flow")
    return context.flow_run.id
