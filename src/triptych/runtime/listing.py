"""The runs of our deployments, a row each: how far they are, what they have spent, whom they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import BaseModel, ConfigDict

from triptych.errors import CheckpointError, CheckpointMissing
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.approval.waiting import wait_of
from triptych.runtime.bounded import for_each
from triptych.runtime.checkpoints import GIVEN
from triptych.runtime.history import read_history
from triptych.runtime.queries import PAGE
from triptych.runtime.recovery import TAG
from triptych.runtime.store import CheckpointStore
from triptych.runtime.telling import EXECUTIONS, FORK_OF, told


class RunRow(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True)

    flow_run_id: str
    name: str
    state: str
    """By its name in Prefect."""
    executions: int
    """Those included that went on after a suspension, where the store still knows of them."""
    steps: int | None = None
    """Those whose checkpoints count. None, like the figures below: there are none, or they cannot be read."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """The sum of what has a known price; None where nothing has."""
    waits_for: str | None = None
    """The person or channel that is asked; None where the run waits for nobody."""
    started_at: datetime | None
    duration_seconds: float | None
    """From the first execution's start to the end, or until now; waiting included."""
    problem: str | None = None
    """Why its checkpoints cannot be read."""
    message: str | None = None
    """What Prefect says beside the state: why it failed, say."""
    fork_of: str | None = None
    """The run that this one is a fork of. The steps that it was given count, and cost it nothing."""


class _Figures(NamedTuple):
    executions: int = 0
    steps: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    problem: str | None = None


async def list_runs(store: CheckpointStore, *, states: Sequence[str] = (), limit: int) -> list[RunRow]:
    """Return the runs of our deployments, the newest first.

    Runs that a schedule holds ready for later are left out, unless Scheduled ones are asked for.

    Args:
        store: Where the runs keep their checkpoints.
        states: Types or names of states, like `failed` or `Suspended`; empty: all.
        limit: How many.
    """
    async with get_client() as client:
        runs = await _newest(client, states, limit)
    return await for_each(runs, lambda run: _row(store, run))


async def _newest(client: PrefectClient, states: Sequence[str], limit: int) -> list[FlowRun]:
    wants_scheduled = "scheduled" in (state.lower() for state in states)
    now = datetime.now(UTC)
    found: list[FlowRun] = []
    seen = 0
    while len(found) < limit:
        page = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[TAG]), state=_filter(states)),
            sort=FlowRunSort.START_TIME_DESC,
            limit=PAGE,
            offset=seen,
        )
        found += [run for run in page if wants_scheduled or not _is_for_later(run, now)]
        seen += len(page)
        if len(page) < PAGE:
            break
    return found[:limit]


def _filter(states: Sequence[str]) -> FlowRunFilterState | None:
    if not states:
        return None
    types = [StateType(state.upper()) for state in states if state.upper() in StateType.__members__]
    names = [state for state in states if state.upper() not in StateType.__members__]
    # Prefect's own names are written like `Suspended`; a person may type them small.
    names += [name.capitalize() for name in names]
    return FlowRunFilterState.model_validate(
        {
            "operator": "or_",
            "type": FlowRunFilterStateType(any_=types) if types else None,
            "name": FlowRunFilterStateName(any_=names) if names else None,
        }
    )


def _is_for_later(run: FlowRun, now: datetime) -> bool:
    due = run.next_scheduled_start_time
    return run.auto_scheduled and run.state is not None and run.state.is_scheduled() and due is not None and due > now


async def _row(store: CheckpointStore, run: FlowRun) -> RunRow:
    figures = await _figures(store, str(run.id))
    end = run.end_time or datetime.now(UTC)
    return RunRow(
        flow_run_id=str(run.id),
        name=run.name,
        state=(run.state.name or "") if run.state is not None else "",
        # Prefect does not count one that goes on after a suspension, the store none that ended before its first step.
        executions=max(run.run_count, figures.executions),
        waits_for=await _waits_for(store, run),
        started_at=run.start_time,
        duration_seconds=None if run.start_time is None else (end - run.start_time).total_seconds(),
        steps=figures.steps,
        input_tokens=figures.input_tokens,
        output_tokens=figures.output_tokens,
        cost_usd=figures.cost_usd,
        problem=figures.problem,
        message=run.state.message if run.state is not None else None,
        fork_of=next((tag.removeprefix(FORK_OF) for tag in run.tags if tag.startswith(FORK_OF)), None),
    )


async def _figures(store: CheckpointStore, flow_run_id: str) -> _Figures:
    try:
        steps = told(await read_history(store, flow_run_id))
        executions = len(await store.keys(f"{EXECUTIONS}/{flow_run_id}"))
    except CheckpointMissing:
        return _Figures()
    # ValueError: something lies among the checkpoints that has not the name of one.
    except (CheckpointError, ValueError) as error:
        return _Figures(problem=str(error))
    own = [step for step in steps if step.execution != GIVEN]
    costs = [step.cost_usd for step in own if step.cost_usd is not None]
    return _Figures(
        executions=executions,
        steps=len(steps),
        input_tokens=sum(step.input_tokens or 0 for step in own),
        output_tokens=sum(step.output_tokens or 0 for step in own),
        cost_usd=sum(costs) if costs else None,
    )


async def _waits_for(store: CheckpointStore, run: FlowRun) -> str | None:
    wait = wait_of(run.state)
    if wait is None:
        return None
    try:
        request = await Ledger(store).request(str(run.id), wait.request_id)
    except CheckpointError:
        request = None
    return (request.asked_of if request is not None else "") or "a person"
