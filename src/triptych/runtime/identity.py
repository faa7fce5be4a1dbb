"""Which step of an agent run an operation is, and what goes into it: the same answer in every execution."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic_ai.durable_exec import (
    DurableOperation,
    DynamicToolsetCallToolParams,
    ModelCompactMessagesId,
    ModelRequestId,
    ModelRequestParams,
    ToolsetCallToolId,
    ToolsetCallToolParams,
    ToolsetValidateToolArgumentsId,
)
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.tools import RunContext, ToolDefinition

from triptych.errors import CheckpointIncompatible, ConfigurationError
from triptych.loop.tools.execution import SIDE_EFFECTS
from triptych.records import Checkpoint, InputDigest, StepInputs
from triptych.runtime.digest import describe_change, digest_of, step_inputs
from triptych.runtime.journal import AgentRun

Operation = DurableOperation[Any, Any, Any]


@dataclass
class Identity:
    """Which step of the run this is, and what goes into it."""

    operation: str
    sequence: int
    label: str
    inputs: StepInputs
    static: tuple[InputDigest, ...] | None = None
    tool_call_id: str | None = None
    kind: Literal["model request", "tool call", "agent operation"] = "agent operation"
    prompt: str | None = None
    """What a person says to the model with this request, where it is new."""
    side_effects: bool | None = None
    """Whether the tool that is called changes anything; None where it does not say, and for what is no tool call."""


def run_context(params: Any) -> RunContext[Any]:
    """Return the run that an operation belongs to."""
    context = getattr(params, "run_context", None) or getattr(params, "ctx", None)
    if context is None:
        raise ConfigurationError(f"{type(params).__name__} carries no run context; this operation cannot be durable")
    return cast("RunContext[Any]", context)


def identify(operation: Operation, params: Any, run: AgentRun) -> Identity:
    """Return which step this is; counts it, so that the next one is another."""
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
            return Identity(
                operation="model-request",
                sequence=run.requests,
                label=f"{run.requests}. ask {model_name}",
                inputs=inputs,
                static=static,
                kind="model request",
                prompt=_prompt(request.messages),
            )
        case ToolsetCallToolId() | ToolsetValidateToolArgumentsId() as operation_id:
            context = run_context(params)
            verb = "check " if isinstance(operation_id, ToolsetValidateToolArgumentsId) else ""
            arguments = [
                InputDigest(name=f"argument {name}", digest=digest_of(value))
                for name, value in cast("dict[str, Any]", params.tool_args).items()
            ]
            called = InputDigest(name=f"tool {params.name}", digest=digest_of(params.name))
            return Identity(
                operation=f"{verb.strip() or 'tool'}-{params.name}",
                sequence=run.requests,
                label=f"{run.requests}. {verb}{params.name}",
                inputs=step_inputs(previous=run.previous, static=None, known_static=None, added=[called, *arguments]),
                tool_call_id=context.tool_call_id,
                kind="agent operation" if verb else "tool call",
                side_effects=tool_metadata(params).get(SIDE_EFFECTS),
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
            return Identity(
                operation=f"{kind}-{count}",
                sequence=run.requests,
                kind="model request" if isinstance(other, ModelCompactMessagesId) else "agent operation",
                label=f"{run.requests}. {kind}",
                inputs=step_inputs(
                    previous=run.previous,
                    static=None,
                    known_static=None,
                    added=[InputDigest(name=name, digest=digest_of(value)) for name, value in given.items()],
                ),
            )


def require_same_inputs(checkpoint: Checkpoint, identity: Identity, run: AgentRun) -> None:
    """Let a recorded step count only where what goes in now is what went in then.

    Raises:
        CheckpointIncompatible: it is not; names the step and the change.
    """
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


def _prompt(messages: list[ModelMessage]) -> str | None:
    last = messages[-1] if messages else None
    if not isinstance(last, ModelRequest):
        return None
    said = [str(part.content) for part in last.parts if isinstance(part, UserPromptPart)]
    return "\n".join(said) or None


def tool_metadata(params: object) -> dict[str, Any]:
    """Return what a tool says of itself in its metadata, by the parameters of a call; empty where that is unknown."""
    definition: ToolDefinition | None = None
    if isinstance(params, ToolsetCallToolParams) and params.tool is not None:
        definition = params.tool.tool_def
    elif isinstance(params, DynamicToolsetCallToolParams):
        definition = params.tool_def
    return (definition.metadata if definition is not None else None) or {}
