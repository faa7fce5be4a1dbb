"""What earlier executions of a flow run left behind: checkpoints to be found, and task runs that nobody will end.

Is this the store that the run began in? A disk that is not mounted looks like an empty folder, not like an outage. So
does a bucket that was emptied, or a block that now names another place. Believing such a miss would pay for every step
again. Prefect knows better: a step's task run is Completed only once its checkpoint is durable.
"""

from __future__ import annotations

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

from triptych.errors import CheckpointStoreUnavailable
from triptych.runtime.checkpoints import REDO, run_prefix
from triptych.runtime.journal import Execution
from triptych.runtime.queries import PAGE
from triptych.runtime.store import CheckpointStore

STEP = "triptych_step"
"""The function that is every step's task; a task run's key begins with it."""


async def look_back(execution: Execution) -> None:
    """Let a miss count only where the store holds all that the run has completed, and end dead steps.

    Done once an execution, at its first miss, and never in the first one, which has nothing behind it.

    Raises:
        CheckpointStoreUnavailable: more steps were completed than there are checkpoints. The operator must act.
    """
    if execution.is_first or execution.has_looked_back:
        return
    lost = 0 if execution.redoes_lost_steps else await lost_steps(execution.store, execution.flow_run_id)
    if lost:
        raise CheckpointStoreUnavailable(
            f"checkpoint store {execution.store.backend.place} lacks {lost} or more of the checkpoints that flow run "
            f"{execution.flow_run_id} has written. Is its disk mounted, and does the block name the place where the "
            f"run began? Mend it and run again. To have what is lost done again, give the run the tag {REDO!r}. "
            "Nothing was executed again"
        )
    execution.has_looked_back = True
    async with get_client() as client:
        # Set before this execution's own first step: every step that is running is one whose process died.
        for step in await _steps(client, execution.flow_run_id, StateType.RUNNING, StateType.PENDING):
            died = Crashed(message="Its process died; the next execution of the run has a task run of its own for it")
            await client.set_task_run_state(step.id, died, force=True)


async def lost_steps(store: CheckpointStore, flow_run_id: str) -> int:
    """Return how many steps a flow run has at least completed, according to Prefect, beyond the store's checkpoints."""
    checkpoints = len(await store.keys(run_prefix(flow_run_id)))
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
