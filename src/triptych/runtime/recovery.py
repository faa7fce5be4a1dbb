"""Bring runs back under their own ids: those whose process died, and those whose store or sandbox was gone.

A worker reports a run whose process died as Crashed, and in open-source Prefect it then stays so. Where the worker died
too, the run says Running, Pending or Cancelling for ever. This loop schedules it again: only runs of our deployments
(by their tag), only after the worker has said its last word about the dead process or the run gave no sign of life for
a while, and only so often. A run that Failed for want of its store or its sandbox is scheduled again once that can be
used. Where the loop is wrong, and the process lives, the older execution is superseded (`ownership`): nothing is done
twice.

Why wait for the last word: a process worker reports a crash twice, some seconds apart (measured: 3 s on a quiet
machine, 27 s on a loaded one). A run scheduled again between the two is reported as crashed while its second process
lives. The worker's event `prefect.worker.executed-flow-run` comes after the second report.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilterEndTime, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventRelatedFilter,
)
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed, Failed, Scheduled
from pydantic import BaseModel, ConfigDict, Field

from triptych.errors import CheckpointStoreUnavailable, SandboxUnavailable, TriptychError
from triptych.runtime.approval.waiting import wait_of
from triptych.runtime.checkpoints import REDO
from triptych.runtime.earlier import lost_steps
from triptych.runtime.queries import flow_runs_tagged
from triptych.runtime.store import CheckpointStore, store_slug
from triptych.runtime.vitals import HEARTBEAT_SECONDS, Vitals
from triptych.sandbox.client import Client
from triptych.sandbox.folder import socket_path
from triptych.settings import Settings

TAG = "triptych"
"""Every deployment of `prefect.yaml` carries it, and so does every run of one."""
GIVEN_UP = "Given up"
RECOVERING = "Recovering"
"""The state of a run that is brought back."""
RAISED = "Flow run encountered an exception: "
"""How Prefect's message of a flow begins that raised; the error's class follows."""
LOST_PLACE = "concurrency slot lost during provisioning"
"""Prefect's message beside Cancelled."""
LOOKED_AT = (
    StateType.CRASHED,
    StateType.RUNNING,
    StateType.CANCELLING,
    StateType.PENDING,
    StateType.FAILED,
    StateType.PAUSED,
)
"""The states in which a run may need this loop. Of Cancelled ones only the latest are read: most are so by a person."""
LATELY = timedelta(hours=1)
EXECUTED = "prefect.worker.executed-flow-run"
CLOCKS_DIFFER_BY = timedelta(seconds=1)
"""A deadline is judged by the server's clock, and looked for by this machine's."""
ASLEEP_SECONDS = 10.0
"""A look that comes so much too late says that this machine was asleep, and heard nothing."""
HOLD_ENDS_WITHIN = timedelta(seconds=30)
"""A process that holds a run lets go of it by then, or is dead."""


class RecoveryPolicy(BaseModel):
    """When and how often a run is brought back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    poll_seconds: float = Field(default=2.0, gt=0)
    """How often the loop looks."""
    settle_seconds: float = Field(default=60.0, ge=0)
    """How long it waits for the worker's last word; a worker that died with the run never gives one. One that has been
    heard of since then has only much to do, and is waited for three times as long."""
    silent_seconds: float = Field(default=75.0, gt=HEARTBEAT_SECONDS)
    """How long a run under way may give no sign of life; its heartbeats come every 30 s."""
    all_send_heartbeats: bool = False
    """Whether every run sends heartbeats, as those of `triptych up` do. One that was never heard is left to its worker
    otherwise."""
    pending_seconds: float = Field(default=90.0, gt=0)
    """How long a worker may take from accepting a run to its start."""
    max_attempts: int = Field(default=5, ge=1)
    """How many executions a run gets in all."""
    backoff_seconds: float = Field(default=2.0, ge=0)
    """Wait before the third execution, doubled for each further one; the second comes at once."""


async def recover_forever(policy: RecoveryPolicy, say: Callable[[str], None]) -> None:
    """Look for crashed runs until cancelled.

    A server that does not answer for a while is waited for.

    Args:
        policy: When and how often.
        say: Called with one line for each run that is brought back, given up, or found waiting for its store.
    """
    said: list[str] = []
    vitals = Vitals(policy.silent_seconds, policy.all_send_heartbeats)
    while True:
        try:
            async with get_client() as client:
                while True:
                    lines = await recover_once(client, policy, vitals)
                    for line in lines:
                        if line not in said:  # what waits is found in every round
                            say(line)
                    said = lines
                    slept_at = time.time()
                    await asyncio.sleep(policy.poll_seconds)
                    if time.time() - slept_at > policy.poll_seconds + ASLEEP_SECONDS:
                        vitals.forget()
        except Exception as error:  # whatever the API's transport raises: this loop must outlive it
            say(f"the Prefect API does not answer ({type(error).__name__}: {error}); trying again")
            vitals.forget()
            await asyncio.sleep(policy.poll_seconds)


async def recover_once(client: PrefectClient, policy: RecoveryPolicy, vitals: Vitals) -> list[str]:
    """Bring back every run whose time has come.

    Args:
        client: The API.
        policy: When and how often.
        vitals: What has been heard of the runs so far.

    Returns:
        What was done, a line a run.
    """
    done: list[str] = []
    # All in one request: this loop asks for as long as the stack is up, and mostly for nothing.
    runs = await _tagged(client, *LOOKED_AT)
    for run in _in_state(runs, StateType.CRASHED):
        if await _is_settled(client, run, policy):
            done += await _bring_back(client, run, policy, "crashed")
    for run in _in_state(runs, StateType.RUNNING, StateType.CANCELLING):
        silence = await vitals.silence(client, run)
        if silence is not None:
            done += await _end(client, run, policy, f"gave no sign of life for {silence.total_seconds():.0f} s")
    for run in _in_state(runs, StateType.PENDING):
        waited = datetime.now(UTC) - run.state.timestamp if run.state is not None else timedelta()
        if waited.total_seconds() >= policy.pending_seconds:
            done += await _end(client, run, policy, f"was not started within {waited.total_seconds():.0f} s")
    stranded = [run for run in runs if _failed_for(run, CheckpointStoreUnavailable)]
    if stranded and (store := await _usable_store()) is not None:
        for run in stranded:
            if REDO not in run.tags and (lost := await lost_steps(store, str(run.id))):
                done.append(f"{run.name}: waits for its checkpoints, of which {store.backend.place} lacks {lost}")
            else:
                done += await _bring_back(client, run, policy, "lost its checkpoint store")
    stranded = [run for run in runs if _failed_for(run, SandboxUnavailable)]
    if stranded and await _sandbox_is_usable():
        for run in stranded:
            done += await _bring_back(client, run, policy, "lost its sandbox")
    for run in await _that_lost_their_place(client):
        done += await _bring_back(client, run, policy, "lost its place under a limit when the server was killed")
    for run in _in_state(runs, StateType.PAUSED):
        done += await _end_wait(client, run)
    return done


def _in_state(runs: Sequence[FlowRun], *states: StateType) -> list[FlowRun]:
    return [run for run in runs if run.state is not None and run.state.type in states]


async def _end(client: PrefectClient, run: FlowRun, policy: RecoveryPolicy, why: str) -> list[str]:
    """Deal with a run that has no process any more, and of which no worker will say so."""
    if await _has_moved_on(client, run):
        return []
    if run.state is not None and run.state.is_cancelling():
        await client.set_flow_run_state(run.id, Cancelled(message=f"It {why}: its process is gone"))
        return [f"{run.name}: {why}, and is cancelled"]
    # Not by force: the server refuses it where the run has come to its end in this very moment.
    crashed = await client.set_flow_run_state(run.id, Crashed(message=f"It {why}: its process is gone"))
    if crashed.status != SetStateStatus.ACCEPT:
        return []
    return await _bring_back(client, run.model_copy(update={"state": crashed.state or run.state}), policy, why)


async def _has_moved_on(client: PrefectClient, run: FlowRun) -> bool:
    """Whether a run is in another state by now; runs are looked at one after the other, and events are read between."""
    try:
        now = (await client.read_flow_run(run.id)).state
    except ObjectNotFound:
        return True
    return now is None or run.state is None or now.id != run.state.id


async def _end_wait(client: PrefectClient, run: FlowRun) -> list[str]:
    """End a wait for a person that nobody else ends: at the deadline, or when the process that held it is gone."""
    wait = wait_of(run.state)
    now = datetime.now(UTC)
    ends = HOLD_ENDS_WITHIN if wait is not None and wait.is_held else CLOCKS_DIFFER_BY
    if wait is None or now < wait.until + ends or await _has_moved_on(client, run):
        return []
    if not wait.is_held:
        # An empty form: at the deadline it means what the policy says. Of two who resume, the server lets one.
        await client.resume_flow_run(run.id, run_input={})
        return [f"{run.name}: nobody answered in time; it goes on with the policy's answer"]
    await client.set_flow_run_state(
        run.id, Scheduled(name=RECOVERING, message="The process that held it while it waited is gone")
    )
    return [f"{run.name}: the process that held it is gone; it waits without one"]


async def _tagged(client: PrefectClient, *states: StateType) -> list[FlowRun]:
    wanted = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states)))
    runs = await flow_runs_tagged(client, TAG, state=wanted)
    # Without a deployment nobody but its caller can run it again.
    return [run for run in runs if run.deployment_id is not None]


async def _is_settled(client: PrefectClient, run: FlowRun, policy: RecoveryPolicy) -> bool:
    if run.state is None:
        return False
    since = run.state.timestamp
    patience = timedelta(seconds=policy.settle_seconds)
    waited = datetime.now(UTC) - since
    if waited >= 3 * patience or await _worker_is_done(client, run, since):
        return True
    return waited >= patience and not await _worker_was_heard(client, run, datetime.now(UTC) - patience)


async def _that_lost_their_place(client: PrefectClient) -> list[FlowRun]:
    """Return runs that Prefect cancelled, not a person.

    The places under a deployment's limit are in the server's memory. A run that is about to start when the server is
    killed cannot renew its own, and where others are quicker Prefect cancels it.
    """
    runs = await flow_runs_tagged(
        client,
        TAG,
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLED])),
        end_time=FlowRunFilterEndTime(after_=cast(Any, datetime.now(UTC) - LATELY)),
    )
    return [
        run for run in runs if run.deployment_id is not None and LOST_PLACE in ((run.state and run.state.message) or "")
    ]


def is_brought_back(run: FlowRun) -> bool:
    """Whether this loop brings a run back that says it is at its end: it crashed, or its store or sandbox was away."""
    if run.state is None or TAG not in run.tags or run.deployment_id is None:
        return False
    return (
        run.state.is_crashed() or _failed_for(run, CheckpointStoreUnavailable) or _failed_for(run, SandboxUnavailable)
    )


def _failed_for(run: FlowRun, error: type[TriptychError]) -> bool:
    # Prefect's message of a flow that raised: "Flow run encountered an exception: <class>: <text>".
    # At its beginning: further on stand the words of whoever wrote tests, or of a model.
    state = run.state
    is_it = state is not None and (state.message or "").startswith(f"{RAISED}{error.__name__}")
    return is_it and state is not None and state.is_failed()


async def _usable_store() -> CheckpointStore | None:
    try:
        store = await cast(Any, CheckpointStore).load(store_slug().partition("/")[2])
        await store.check()
    except (CheckpointStoreUnavailable, ValueError):
        return None
    return store


async def _sandbox_is_usable() -> bool:
    """Whether the broker of this home answers, and a Docker behind it."""
    client = Client(socket_path(Settings().sandbox_folder))
    try:
        await client.reap()
    except SandboxUnavailable:
        return False
    finally:
        await client.close()
    return True


async def _bring_back(client: PrefectClient, run: FlowRun, policy: RecoveryPolicy, why: str) -> list[str]:
    if await _has_moved_on(client, run):
        return []
    # Prefect counts those that came to Running; one that cannot even be started must not be tried for ever.
    states = await client.read_flow_run_states(run.id)
    executions = max(run.run_count, 1 + sum(state.name == RECOVERING for state in states))
    if executions >= policy.max_attempts:
        last = (run.state.message if run.state is not None else None) or "no reason given"
        message = f"{GIVEN_UP} after {executions} executions, the last of which {why}: {last}"
        await client.set_flow_run_state(run.id, Failed(message=message), force=True)
        return [f"{run.name}: {message}"]
    delay = policy.backoff_seconds * 2 ** (executions - 2) if executions > 1 else 0.0
    when = datetime.now(UTC) + timedelta(seconds=delay)
    await client.set_flow_run_state(
        run.id,
        Scheduled(name=RECOVERING, scheduled_time=cast(Any, when), message="Goes on from its last checkpoint"),
    )
    return [f"{run.name}: {why} in execution {executions}, and is brought back"]


async def _worker_was_heard(client: PrefectClient, run: FlowRun, since: datetime) -> bool:
    """Whether a worker that may have the dead process in its care has given a sign of life."""
    if run.work_pool_name is None:
        return False
    workers = await client.read_workers_for_work_pool(run.work_pool_name)
    return any(worker.last_heartbeat_time and worker.last_heartbeat_time >= since for worker in workers)


async def _worker_is_done(client: PrefectClient, run: FlowRun, since: datetime) -> bool:
    """Whether the worker has reported the end of the process that crashed at `since`."""
    page = await client.read_events(
        EventFilter(
            event=EventNameFilter(name=[EXECUTED]),
            related=EventRelatedFilter(id=[f"prefect.flow-run.{run.id}"]),
            occurred=EventOccurredFilter(since=cast(Any, since - timedelta(seconds=1))),
        ),
        limit=1,
    )
    return bool(page.events)
