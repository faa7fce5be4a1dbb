"""One step: read its checkpoint, or do the work as a Prefect task and write it.

A step is a model request, a tool call, a workspace call, or anything else that an agent does durably.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from pydantic_ai.durable_exec import (
    ModelRequestParams,
    ToolsetCallToolId,
    durable_unit_scope,
)
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelResponse
from pydantic_core import from_json, to_json

from triptych.errors import CheckpointMissing, ConfigurationError
from triptych.loop.tools.execution import SIDE_EFFECTS
from triptych.records import Checkpoint
from triptych.runtime.budget import count, require_budget, require_prices
from triptych.runtime.checkpoints import GIVEN, checkpoint_key, decode, encode, run_prefix, step_name
from triptych.runtime.earlier import checkpoints_of
from triptych.runtime.given import require_all_read
from triptych.runtime.identity import Identity, Operation, identify, require_same_inputs, run_context
from triptych.runtime.journal import AgentRun, Execution, Scope, current_execution, playing, step_scope
from triptych.runtime.ownership import RecordEnds, require
from triptych.runtime.tool_results import ADVICE, keepable
from triptych.runtime.unknown_outcome import begin, is_begun_once
from triptych.runtime.workspace_files import go_on_from, with_files

MODEL_REQUEST_RETRIES = 2
MODEL_REQUEST_RETRY_DELAYS = [1.0, 4.0]
"""Seconds. A provider's client does not retry by itself here: retries live in this one layer."""


@dataclass
class _Work:
    """A step that has no checkpoint yet, on its way through Prefect."""

    body: Callable[[], Awaitable[tuple[Checkpoint, bytes]]]
    done: tuple[Checkpoint, bytes] | None = None
    began: float = 0.0
    seconds_to_first_token: float | None = None


_work: ContextVar[_Work | None] = ContextVar("triptych_work", default=None)


def note_first_token() -> None:
    """Record, once a step, that its first event has come."""
    work = _work.get()
    if work is not None and work.seconds_to_first_token is None:
        work.seconds_to_first_token = time.perf_counter() - work.began


async def _is_transient(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    error = await state.aresult(raise_on_failure=False)
    if isinstance(error, ModelHTTPError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, ModelAPIError)


async def triptych_step(label: str, checkpoint: str) -> str:
    """Do the step in hand. Prefect sees its label and its checkpoint's key, never what went into it."""
    work = _work.get()
    assert work is not None
    work.began = time.perf_counter()
    # A retry's first token is that of the answer, not of the attempt that failed.
    work.seconds_to_first_token = None
    work.done = await work.body()
    return checkpoint


# Results are not persisted by Prefect: the checkpoint is the result, and it is written before the task completes.
_model_request = task(
    name="model request",
    task_run_name="{label}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=MODEL_REQUEST_RETRIES,
    retry_delay_seconds=MODEL_REQUEST_RETRY_DELAYS,
    retry_condition_fn=_is_transient,
)(triptych_step)
_tool_call = task(name="tool call", task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False)(triptych_step)
_other = task(name="agent operation", task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False)(
    triptych_step
)
_TASKS: dict[str, Any] = {"model request": _model_request, "tool call": _tool_call, "agent operation": _other}


def priced(response: ModelResponse) -> ModelResponse:
    """Return the response with its price of today, where it has none and one is known.

    Kept with the response, so that a later price list does not change what a resumed run says it has spent.
    """
    if response.usage.cost is not None or not response.model_name:
        return response
    try:
        cost = response.cost().total_price
    except (LookupError, ValueError):
        return response
    return dataclasses.replace(response, usage=dataclasses.replace(response.usage, cost=cost))


async def take_step(operation: Operation, params: Any) -> Any:
    """Return the operation's result: the recorded one, or that of doing it now, once its checkpoint is durable.

    Raises:
        BudgetExceeded: the step would be paid, and the budget is spent.
        CheckpointIncompatible: what goes in now is not what went in when the step was recorded.
        CheckpointStoreUnavailable, CheckpointTorn, CheckpointMissing: the checkpoint cannot be read or written.
        Stopped: another execution owns the run, or it cannot be known; nothing more was done.
    """
    execution = current_execution()
    context = run_context(params)
    agent_run = execution.agent_runs.get(context.run_id or "") if execution is not None else None
    if execution is None or agent_run is None:
        raise ConfigurationError("a durable step was taken outside an agent run in a flow")
    identity = identify(operation, params, agent_run)
    step = step_name(
        execution.flow_run_id, agent_run.path, identity.sequence, identity.operation, identity.tool_call_id
    )
    key = (await checkpoints_of(execution)).get(step)
    if key is not None:
        content = await execution.store.read(key)
        if content is None:
            raise CheckpointMissing(f"checkpoint {key} was there when this execution began, and is gone")
        checkpoint, payload = decode(key, content)
        play, name = playing.get(), step.removeprefix(f"{run_prefix(execution.flow_run_id)}/")
        # What a fork was given counts as it is, whatever the prompt, the model or the code is now.
        if checkpoint.execution != GIVEN if play is None else name not in play.given:
            require_same_inputs(checkpoint, identity, agent_run)
        execution.read.add(step)
        await go_on_from(execution, context.run_id, checkpoint.files)
        if play is not None:
            play.read.add(name)
    elif execution.is_replay:
        raise RecordEnds(identity.label)
    else:
        require_all_read(execution, agent_run, step, identity.label)
        if identity.kind == "model request":
            require_prices(execution, agent_run.model or context.model)
        if identity.kind != "agent operation":
            await require_budget(execution, context.usage)
        await require(UUID(execution.flow_run_id), execution.number, agent_run.client)
        checkpoint, payload = await _do(operation, params, step, identity, agent_run, execution)
    if checkpoint.seconds_to_first_token is not None:
        execution.first_tokens.setdefault(context.run_id or "", checkpoint.seconds_to_first_token)
    # Live and replayed steps hand on the same thing: what the bytes say.
    value = from_json(payload)
    if key is None:
        await count(execution, checkpoint, value)
    result = operation.result_codec.load(value)
    if isinstance(result, ModelResponse):
        # Now: a history that is rewritten at once would never show it again.
        agent_run.note_tool_call_ids([result])
    if isinstance(params, ModelRequestParams):
        tools = params.model_request_parameters.function_tools
        execution.tools[context.conversation_id or ""] = {tool.name: tool.parameters_json_schema for tool in tools}
    return result


async def _do(
    operation: Operation, params: Any, step: str, identity: Identity, run: AgentRun, execution: Execution
) -> tuple[Checkpoint, bytes]:
    started_at = datetime.now(UTC)
    key = checkpoint_key(step, execution.number)
    place = step.removeprefix(f"{run_prefix(execution.flow_run_id)}/")

    def may_repeat() -> bool:
        # An agent that the step has started would be asked again.
        return not is_begun_once(params) and not any(path.startswith(f"{place}/") for path in execution.begun)

    async def body() -> tuple[Checkpoint, bytes]:
        scope = step_scope.set(Scope(path=place))
        files = None
        try:
            with durable_unit_scope():
                told = await _instead_of(params, step, identity, execution)
                if told is None and identity.kind != "model request":
                    result, files = await with_files(
                        execution,
                        run_context(params).run_id,
                        f"{place}.{execution.number}",
                        lambda: operation.handler(params),
                        may_repeat=may_repeat,
                    )
                elif told is None:
                    result = await operation.handler(params)
                else:
                    # As pydantic-ai writes down that a tool raised `ToolFailed`.
                    result = operation.result_codec.load({"kind": "tool_failed", "message": told})
        finally:
            step_scope.reset(scope)
        if isinstance(result, ModelResponse):
            result = priced(run.with_own_ids(result))
        payload = _encode_result(operation, result, identity)
        checkpoint = Checkpoint(
            key=key,
            flow_run_id=execution.flow_run_id,
            agent_run=run.path,
            sequence=identity.sequence,
            operation=identity.operation,
            tool_call_id=identity.tool_call_id,
            label=identity.label,
            inputs=identity.inputs,
            execution=execution.number,
            started_at=started_at,
            seconds=time.perf_counter() - work.began,
            seconds_to_first_token=work.seconds_to_first_token,
            payload_bytes=len(payload),
            prompt=identity.prompt,
            side_effects=identity.side_effects,
            outcome_is_unknown=told is not None and execution.may_change_things,
            files=files,
        )
        await execution.store.write(key, encode(checkpoint, payload))
        return checkpoint, payload

    work = _Work(body=body)
    token = _work.set(work)
    try:
        await _TASKS[identity.kind](label=identity.label, checkpoint=key)
    finally:
        _work.reset(token)
    assert work.done is not None
    return work.done


async def _instead_of(params: Any, step: str, identity: Identity, execution: Execution) -> str | None:
    """Return what the model is told where a tool must not run; None where it may, and for what is no tool call."""
    if identity.kind != "tool call":
        return None
    if not execution.may_change_things and identity.side_effects is not False:
        return (
            "Not done: this run is a fork that may change nothing. It is what would have been done. (A tool that only "
            f"reads says so in its metadata: {SIDE_EFFECTS!r}: False.)"
        )
    return await begin(execution, step, identity.label) if is_begun_once(params) else None


def _encode_result(operation: Operation, result: Any, identity: Identity) -> bytes:
    """Return the result's JSON; refuse one that would come back as something else."""
    kept = keepable(result, identity.label) if isinstance(operation.operation_id, ToolsetCallToolId) else result
    try:
        payload = to_json(operation.result_codec.dump(kept), inf_nan_mode="constants")
        again = to_json(
            operation.result_codec.dump(operation.result_codec.load(from_json(payload, allow_inf_nan=False)))
        )
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{identity.label}: its result cannot be kept in a checkpoint ({error}). {ADVICE}"
        ) from error
    if again != payload:
        raise ConfigurationError(
            f"{identity.label}: its result comes back from a checkpoint as something else. {ADVICE}"
        )
    return payload
