"""What earlier executions of a flow run left behind: checkpoints to be found, and task runs that nobody will end.

Is this the store that the run began in? A disk that is not mounted looks like an empty folder, not like an outage. So
does a bucket that was emptied, or a block that now names another place. Believing such a miss would pay for every step
again. Prefect knows better: a step's task run is Completed only once its checkpoint is durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType, TaskRun
from prefect.states import Crashed
from pydantic import ValidationError

from triptych.errors import CheckpointStoreUnavailable, CheckpointTorn
from triptych.records import ExecutionRecord
from triptych.runtime.bounded import one_at_a_time
from triptych.runtime.checkpoints import GIVEN, REDO, run_prefix, step_and_execution
from triptych.runtime.journal import Execution
from triptych.runtime.queries import PAGE
from triptych.runtime.store import CheckpointStore

STEP = "triptych_step"
"""The function that is every step's task; a task run's key begins with it."""


async def checkpoints_of(execution: Execution) -> dict[str, str]:
    """Return the name of the checkpoint that each step of the run has, for this execution and in this moment.

    Asked for the first time, it records what this execution goes on from, before anything is paid for: a store that
    is not there is found out now. Whatever an earlier execution that is still alive writes from then on is left out.
    What the run has paid is reckoned up as well, so that no step begins before that is known.

    Raises:
        CheckpointStoreUnavailable: the store cannot be read or written, or lacks what the run has written. The operator
            must act.
        CheckpointTorn: the record of an earlier execution cannot be read.
    """
    # Steps that begin together, in threads of their own perhaps: one of them looks back, and before any step runs.
    async with one_at_a_time(execution.looking_back):
        if execution.goes_on_from is None:
            execution.goes_on_from = await _begun(execution)
    return execution.goes_on_from


async def _begun(execution: Execution) -> dict[str, str]:
    store, flow_run_id = execution.store, execution.flow_run_id
    if execution.number > 1:
        await _look_back(execution)
    keys = await store.keys(run_prefix(flow_run_id))
    found = await _that_count(store, keys, flow_run_id, execution.number)
    record = ExecutionRecord(
        flow_run_id=flow_run_id, number=execution.number, began_at=datetime.now(UTC), goes_on_from=tuple(found)
    )
    await store.write(_record_key(flow_run_id, execution.number), record.model_dump_json().encode())
    if execution.number > 1:
        await execution.account.open(keys)
    return {step_and_execution(key)[0]: key for key in found}


async def found_by(store: CheckpointStore, flow_run_id: str, number: int) -> list[str]:
    """Return the names of the checkpoints that an execution with this number goes on from, one a step.

    They are what the last execution before it went on from, and what that one has written.
    """
    return await _that_count(store, await store.keys(run_prefix(flow_run_id)), flow_run_id, number)


async def _that_count(store: CheckpointStore, keys: Sequence[str], flow_run_id: str, number: int) -> list[str]:
    earlier = [key for key in keys if step_and_execution(key)[1] < number]
    last = await _last_record(store, flow_run_id, number)
    if last is None:
        return earlier
    kept = set(last.goes_on_from)
    return [key for key in earlier if key in kept or step_and_execution(key)[1] == last.number]


async def _last_record(store: CheckpointStore, flow_run_id: str, number: int) -> ExecutionRecord | None:
    before = [key for key in await store.keys(_records(flow_run_id)) if key < _record_key(flow_run_id, number)]
    if not before:
        return None
    content = await store.read(before[-1])
    try:
        return ExecutionRecord.model_validate_json(content or b"")
    except ValidationError as error:
        raise CheckpointTorn(
            f"the record {before[-1]} of an earlier execution cannot be read, so it is not known which checkpoints "
            "count. Restore it from a backup, or delete it where no earlier execution of the run is alive"
        ) from error


def _records(flow_run_id: str) -> str:
    return f"executions/{flow_run_id}"


def _record_key(flow_run_id: str, number: int) -> str:
    return f"{_records(flow_run_id)}/{number:06d}.json"


async def _look_back(execution: Execution) -> None:
    """Make sure that the store holds all that the run has completed, and end the task runs of dead steps."""
    lost = 0 if execution.redoes_lost_steps else await lost_steps(execution.store, execution.flow_run_id)
    if lost:
        raise CheckpointStoreUnavailable(
            f"checkpoint store {execution.store.backend.place} lacks {lost} or more of the checkpoints that flow run "
            f"{execution.flow_run_id} has written. Is its disk mounted, and does the block name the place where the "
            f"run began? Mend it and run again. To have what is lost done again, give the run the tag {REDO!r}. "
            "Nothing was executed again"
        )
    async with get_client() as client:
        # Before this execution's own first step: every step that is running is one whose process died, or stops.
        for step in await _steps(client, execution.flow_run_id, StateType.RUNNING, StateType.PENDING):
            died = Crashed(message="Its process died; the next execution of the run has a task run of its own for it")
            await client.set_task_run_state(step.id, died, force=True)


async def lost_steps(store: CheckpointStore, flow_run_id: str) -> int:
    """Return how many steps a flow run has at least completed, according to Prefect, beyond the store's checkpoints."""
    taken = [step_and_execution(key) for key in await store.keys(run_prefix(flow_run_id))]
    checkpoints = len({step for step, execution in taken if execution != GIVEN})
    async with get_client() as client:
        completed = await _steps(client, flow_run_id, StateType.COMPLETED)
    # By name: of two executions at once, both may complete a step, and it has one checkpoint.
    return max(0, len({step.name for step in completed}) - checkpoints)


async def _steps(client: PrefectClient, flow_run_id: str, *states: StateType) -> list[TaskRun]:
    found: list[TaskRun] = []
    seen = 0
    while True:
        page = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)])),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(states)))),
            sort=cast(Any, "ID_DESC"),
            limit=PAGE,
            offset=seen,
        )
        found += [run for run in page if run.task_key.startswith(f"{STEP}-")]
        seen += len(page)
        if len(page) < PAGE:
            return found
