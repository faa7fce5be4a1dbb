"""Flow results as plain JSON, written before the flow run says Completed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.results import should_persist_result
from prefect.serializers import JSONSerializer
from prefect.states import Completed, Failed

from triptych.errors import ConfigurationError
from triptych.records import Record
from triptych.runtime.journal import current_execution
from triptych.runtime.ownership import require

PLAIN_JSON: JSONSerializer[Any] = JSONSerializer(object_encoder=None, object_decoder=None)
"""JSON without Prefect's object hook, which would import whatever class a stored object names."""


async def ended(record: Record, *, failed: bool = False, message: str | None = None) -> State[dict[str, Any]]:
    """Persist a flow's outcome and return the final state that carries it.

    Prefect's own way logs a failed write and goes on; here the flow run fails, and can be run again.

    Args:
        record: The outcome.
        failed: Whether the flow run ends Failed: it came to a result, and the result is that the task was not done.
        message: What the state says beside its name.

    Raises:
        CheckpointStoreUnavailable: when the outcome cannot be written.
        Stopped: another execution owns the run, and ends it.
        ConfigurationError: outside a flow, or in one that does not persist its result.
    """
    context = FlowRunContext.get()
    if context is None or not should_persist_result():
        raise ConfigurationError("ended() needs a flow with `persist_result=True`")
    execution = current_execution()
    if execution is not None:
        await require(UUID(execution.flow_run_id), execution.number)
    result = context.result_store.create_result_record(record.model_dump(mode="json"))
    await context.result_store.apersist_result_record(result)
    return (Failed if failed else Completed)(data=result, message=message)


def began_at() -> datetime:
    """Return when the first execution of this flow run began; the same in every execution."""
    context = FlowRunContext.get()
    began = None if context is None or context.flow_run is None else context.flow_run.start_time
    return datetime.now(UTC) if began is None else datetime.fromtimestamp(began.timestamp(), UTC)


def seconds_since_it_began() -> float:
    """Return how long ago that was, waiting included."""
    return max(0.0, (datetime.now(UTC) - began_at()).total_seconds())
