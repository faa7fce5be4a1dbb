"""Is this the store that the run began in? A disk that is not mounted looks like an empty folder, not like an outage.

So does a bucket that was emptied, or a block that now names another place. Believing such a miss would pay for every
step again. Prefect knows better: a step's task run is Completed only once its checkpoint is durable.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from triptych.errors import CheckpointStoreUnavailable
from triptych.runtime.checkpoints import run_prefix
from triptych.runtime.journal import Execution
from triptych.runtime.queries import PAGE
from triptych.runtime.store import CheckpointStore

STEP = "triptych_step"
"""The function that is every step's task; a task run's key begins with it."""


async def require_own_store(execution: Execution) -> None:
    """Let a miss count only where the store holds something of what the run has completed.

    Looked at once an execution, and never in the first one, which has nothing behind it.

    Raises:
        CheckpointStoreUnavailable: steps were completed, and there is no checkpoint of any. The operator must act.
    """
    if execution.is_first or execution.store_is_its_own:
        return
    if await is_not_its_own(execution.store, execution.flow_run_id):
        raise CheckpointStoreUnavailable(
            f"checkpoint store {execution.store.backend.place} holds no checkpoint of flow run "
            f"{execution.flow_run_id}, which has completed steps. Is its disk mounted, and does the block name the "
            "place where the run began? Mend it and run again; to do without them, start a new run. Nothing was "
            "executed again"
        )
    execution.store_is_its_own = True


async def is_not_its_own(store: CheckpointStore, flow_run_id: str) -> bool:
    """Return whether a flow run has completed steps according to Prefect, and no checkpoint in the store."""
    return not await store.keys(run_prefix(flow_run_id)) and await _has_completed_steps(flow_run_id)


async def _has_completed_steps(flow_run_id: str) -> bool:
    completed = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.COMPLETED]))
    seen = 0
    async with get_client() as client:
        while True:
            page = await client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)])),
                task_run_filter=TaskRunFilter(state=completed),
                sort=cast(Any, "ID_DESC"),
                limit=PAGE,
                offset=seen,
            )
            if any(run.task_key.startswith(f"{STEP}-") for run in page):
                return True
            seen += len(page)
            if len(page) < PAGE:
                return False
