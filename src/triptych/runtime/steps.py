"""One step: read its checkpoint, or do the work as a Prefect task and write it.

A step is a model request, a tool call, a workspace call, or anything else that an agent does durably.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from pydantic_ai.durable_exec import (
    DurableOperation,
    ModelRequestId,
    ModelRequestParams,
    ToolsetCallToolId,
    ToolsetValidateToolArgumentsId,
    durable_unit_scope,
)
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.tools import RunContext
from pydantic_core import from_json, to_json

from triptych.errors import CheckpointIncompatible, ConfigurationError
from triptych.records import Checkpoint, InputDigest, StepInputs
from triptych.runtime.checkpoints import checkpoint_key, decode, encode
from triptych.runtime.digest import describe_change, digest_of, step_inputs
from triptych.runtime.earlier import look_back
from triptych.runtime.journal import AgentRun, Execution, Scope, current_execution, step_scope
from triptych.runtime.tool_results import ADVICE, keepable

Operation = DurableOperation[Any, Any, Any]

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


@dataclass
class _Identity:
    """Which step of the run this is, and what goes into it."""

    operation: str
    sequence: int
    label: str
    inputs: StepInputs
    static: tuple[InputDigest, ...] | None = None
    tool_call_id: str | None = None
    prefect_task: Any = _other


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


def _run_context(params: Any) -> RunContext[Any]:
    context = getattr(params, "run_context", None) or getattr(params, "ctx", None)
    if context is None:
        raise ConfigurationError(f"{type(params).__name__} carries no run context; this operation cannot be durable")
    return cast("RunContext[Any]", context)


async def take_step(operation: Operation, params: Any) -> Any:
    """Return the operation's result: the recorded one, or that of doing it now, once its checkpoint is durable.

    Raises:
        CheckpointIncompatible: what goes in now is not what went in when the step was recorded.
        CheckpointStoreUnavailable, CheckpointTorn: the checkpoint cannot be read or written.
    """
    execution = current_execution()
    context = _run_context(params)
    agent_run = execution.agent_runs.get(context.run_id or "") if execution is not None else None
    if execution is None or agent_run is None:
        raise ConfigurationError("a durable step was taken outside an agent run in a flow")
    identity = _identify(operation, params, agent_run)
    key = checkpoint_key(
        execution.flow_run_id, agent_run.path, identity.sequence, identity.operation, identity.tool_call_id
    )
    content = await _recorded(execution, key)
    if content is not None:
        checkpoint, payload = decode(key, content)
        _require_same_inputs(checkpoint, identity, agent_run)
    else:
        await look_back(execution)
        checkpoint, payload = await _do(operation, params, key, identity, agent_run, execution)
    if checkpoint.seconds_to_first_token is not None:
        execution.first_tokens.setdefault(context.run_id or "", checkpoint.seconds_to_first_token)
    # Live and replayed steps hand on the same thing: what the bytes say.
    result = operation.result_codec.load(from_json(payload))
    if isinstance(result, ModelResponse):
        # Now: a history that is rewritten at once would never show it again.
        agent_run.note_tool_call_ids([result])
        tools = cast(ModelRequestParams, params).model_request_parameters.function_tools
        execution.tools[context.conversation_id or ""] = {tool.name: tool.parameters_json_schema for tool in tools}
    return result


async def _recorded(execution: Execution, key: str) -> bytes | None:
    """Return a checkpoint's bytes, or None where there is none.

    A first execution finds none, and saves the store a request a step. It asks once all the same: a store that is not
    there is to be found out before anything is paid.
    """
    if execution.is_first and execution.store_has_answered:
        return None
    content = await execution.store.read(key)
    execution.store_has_answered = True
    return content


def _identify(operation: Operation, params: Any, run: AgentRun) -> _Identity:
    match operation.operation_id:
        case ModelRequestId(model_name=model_name):
            request = cast(ModelRequestParams, params)
            run.requests += 1
            added = run.added(request.messages)
            known = run.static
            static = run.static_of(
                f"{request.model_id or ''} {model_name}",
                request.messages,
                cast("Mapping[str, Any] | None", request.model_settings),
                request.model_request_parameters,
            )
            inputs = step_inputs(previous=run.previous, static=static, known_static=known, added=added)
            run.previous = inputs.digest
            return _Identity(
                operation="model-request",
                sequence=run.requests,
                label=f"{run.requests}. ask {model_name}",
                inputs=inputs,
                static=static,
                prefect_task=_model_request,
            )
        case ToolsetCallToolId() | ToolsetValidateToolArgumentsId() as operation_id:
            context = _run_context(params)
            verb = "check " if isinstance(operation_id, ToolsetValidateToolArgumentsId) else ""
            arguments = [
                InputDigest(name=f"argument {name}", digest=digest_of(value))
                for name, value in cast("dict[str, Any]", params.tool_args).items()
            ]
            called = InputDigest(name=f"tool {params.name}", digest=digest_of(params.name))
            return _Identity(
                operation=f"{verb.strip() or 'tool'}-{params.name}",
                sequence=run.requests,
                label=f"{run.requests}. {verb}{params.name}",
                inputs=step_inputs(previous=run.previous, static=None, known_static=None, added=[called, *arguments]),
                tool_call_id=context.tool_call_id,
                prefect_task=_tool_call,
            )
        case other:
            name = " ".join(str(value) for value in dataclasses.astuple(cast(Any, other)) if isinstance(value, str))
            kind = f"{type(other).__name__.removesuffix('Id')} {name}".strip()
            given = {
                field.name: getattr(params, field.name)
                for field in dataclasses.fields(params)
                if field.name not in ("run_context", "ctx")
            }
            count = run.next_count(kind)
            return _Identity(
                operation=f"{kind}-{count}",
                sequence=run.requests,
                label=f"{run.requests}. {kind}",
                inputs=step_inputs(
                    previous=run.previous,
                    static=None,
                    known_static=None,
                    added=[InputDigest(name=name, digest=digest_of(value)) for name, value in given.items()],
                ),
            )


def _require_same_inputs(checkpoint: Checkpoint, identity: _Identity, run: AgentRun) -> None:
    if checkpoint.inputs.static_parts is not None:
        run.recorded_static = checkpoint.inputs.static_parts
    if checkpoint.inputs.digest == identity.inputs.digest:
        return
    change = describe_change(
        checkpoint.inputs, identity.inputs, recorded_static=run.recorded_static, static=identity.static
    )
    order = (
        " Agents of one name that start in another order each time need a `run_id=` each." if run.requests == 1 else ""
    )
    raise CheckpointIncompatible(
        f"step {checkpoint.label!r} of {checkpoint.agent_run} was recorded with other inputs: {change}. "
        f"Restore what changed and run again, or start a new run; nothing was executed again.{order}",
        step=checkpoint.label,
        change=change,
    )


async def _do(
    operation: Operation, params: Any, key: str, identity: _Identity, run: AgentRun, execution: Execution
) -> tuple[Checkpoint, bytes]:
    started_at = datetime.now(UTC)

    async def body() -> tuple[Checkpoint, bytes]:
        scope = step_scope.set(
            Scope(path=key.removeprefix(f"checkpoints/{execution.flow_run_id}/").removesuffix(".json"))
        )
        try:
            with durable_unit_scope():
                result = await operation.handler(params)
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
        )
        await execution.store.write(key, encode(checkpoint, payload))
        return checkpoint, payload

    work = _Work(body=body)
    token = _work.set(work)
    try:
        await identity.prefect_task(label=identity.label, checkpoint=key)
    finally:
        _work.reset(token)
    assert work.done is not None
    return work.done


def _encode_result(operation: Operation, result: Any, identity: _Identity) -> bytes:
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
