"""A step of a flow's own, beside its agents' steps: done once, and read when the run is executed again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from triptych.errors import CheckpointTorn, ConfigurationError
from triptych.records import Record
from triptych.runtime.checkpoints import STEPS, plain_name
from triptych.runtime.journal import Execution, current_execution
from triptych.runtime.ownership import require
from triptych.runtime.store import CheckpointStore

RecordT = TypeVar("RecordT", bound=Record)


async def once(name: str, kind: type[RecordT], do: Callable[[], Awaitable[RecordT]]) -> RecordT:
    """Return what a step came to: as it is recorded, or by doing it now, once that is durable.

    A step that was interrupted is done again, so `do` must be one that may be: it runs tests in a box of its own, say,
    or applies what is not applied yet.

    Args:
        name: The step's, unique in the flow run; also the task run's in the Prefect UI.
        kind: What it comes to.
        do: Does it.

    Raises:
        CheckpointTorn, CheckpointStoreUnavailable: the record cannot be read or written.
        Stopped: another execution owns the run; nothing more was done.
    """
    execution = this_execution()
    before = await recorded(name, kind, execution.store, execution.flow_run_id)
    if before is not None:
        return before
    await require(UUID(execution.flow_run_id), execution.number)
    done: list[RecordT] = []

    async def step() -> str:
        record, key = await do(), _key(execution.flow_run_id, name)
        # Whoever came meanwhile owns the run, and its records.
        await require(UUID(execution.flow_run_id), execution.number)
        await execution.store.write(key, record.model_dump_json().encode())
        done.append(record)
        return key

    # Its result is the record, and that is written before the task completes.
    await task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)(step)()
    return done[0]


async def recorded(name: str, kind: type[RecordT], store: CheckpointStore, flow_run_id: str) -> RecordT | None:
    """Return what a run's step came to, or None where it is not done.

    Raises:
        CheckpointTorn, CheckpointStoreUnavailable: the record cannot be read.
    """
    key = _key(flow_run_id, name)
    content = await store.read(key)
    try:
        return None if content is None else kind.model_validate_json(content)
    except ValidationError as error:
        raise CheckpointTorn(f"the record {key} of the step {name!r} cannot be read: {error}") from error


def _key(flow_run_id: str, name: str) -> str:
    return f"{STEPS}/{flow_run_id}/{plain_name(name)}.json"


def this_execution() -> Execution:
    """Return the execution of the flow run in whose body this is called.

    Raises:
        ConfigurationError: outside a flow whose results are kept in a `CheckpointStore`.
    """
    execution = current_execution()
    if execution is None:
        raise ConfigurationError("a step of a flow is taken in a flow whose results are kept in a CheckpointStore")
    return execution
