"""Durability: a pydantic-ai capability that makes every model request and tool call a Prefect task with a checkpoint.

Built on pydantic-ai's public `durable_exec` surface. Attach it when the agent is built, run the agent inside a flow:

```python
agent = build_agent(model, capabilities=[Durability()])

@flow(result_storage="checkpoint-store/triptych", persist_result=True, result_serializer=PLAIN_JSON)
async def handle(...):
    result = await agent.run(...)
```

What it holds, beyond the `PrefectDurability` that pydantic-ai ships: the checkpoint is confirmed durable before the
task run is Completed; a store that cannot be read is not a miss; a replay whose inputs differ is refused, with the
difference named; two equal agent runs in one flow run are kept apart; nothing that grows with the history passes
through Prefect; and no pickle is written or read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, cast
from uuid import UUID

import anyio
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext
from pydantic_ai.agent import AbstractAgent, EventStreamHandler
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.capabilities.abstract import CapabilityOrdering, WrapRunHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    BoundDurableOperation,
    DurabilityEngineSpec,
    DurableOperation,
    DurableOperationBackend,
    EventStreamHandlerId,
)
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import AgentDepsT, RunContext

from triptych.errors import CheckpointStoreUnavailable, ConfigurationError
from triptych.runtime.journal import AgentRun, current_execution, step_scope
from triptych.runtime.ownership import Stopped, require
from triptych.runtime.steps import note_first_token, take_step
from triptych.runtime.tool_results import refuse_unserializable_tools

ParamsT = TypeVar("ParamsT")
WireT = TypeVar("WireT")
ResultT = TypeVar("ResultT")


class Durability(BaseDurabilityCapability[AgentDepsT]):
    """Checkpoint every step of an agent in the flow's `CheckpointStore`, and read it back when the run comes again.

    Args:
        event_stream_handler: Sees the agent's events live. After a crash it sees the events of a tool call again, but
            not those of a model request that had completed.
        models: Further models a run may switch to, by the id it asks for them with.
        name: The agent's name in keys, by default its own.

    Raises:
        ConfigurationError: when the agent is built, for a tool whose declared result cannot be a checkpoint; when it
            runs, outside a flow, inside a Prefect task, or in a flow that keeps its results elsewhere.
    """

    engine_spec = DurabilityEngineSpec(
        engine_name="Triptych",
        durable_unit_noun="task",
        durable_container_noun="flow",
        codec=JSON_CODEC,
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        wrapped_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-in-durable-unit", "dynamic": "enter-never"},
        journal_discovery=True,
        sequential_tools_in_durable_context=False,
    )

    def __init__(
        self,
        *,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        models: Mapping[str, Model] | None = None,
        name: str | None = None,
    ) -> None:
        self._user_handler = event_stream_handler
        # Always a handler: it makes requests stream, and a stream is what has a first token to time.
        super().__init__(models=models, event_stream_handler=self._watch, name=name)

    async def _watch(self, ctx: RunContext[AgentDepsT], events: AsyncIterable[AgentStreamEvent]) -> None:
        async def timed() -> AsyncIterator[AgentStreamEvent]:
            async for event in events:
                note_first_token()
                yield event

        if self._user_handler is not None:
            await self._user_handler(ctx, timed())
        else:
            async for _ in timed():
                pass

    @property
    def in_durable_context(self) -> bool:
        """Whether this is the body of a flow, or of one of its steps."""
        return FlowRunContext.get() is not None

    def get_durable_operation_backend(self) -> DurableOperationBackend[None]:
        """Return what runs an operation as a step."""
        return StepBackend(has_user_handler=self._user_handler is not None)

    def get_default_run_id(self) -> str | None:
        """Return `<flow run>:<agent>-<ordinal>`: the same one when the flow run is executed again."""
        execution = current_execution()
        if execution is None:
            return None
        scope = step_scope.get() or execution.scope
        run_id = f"{execution.flow_run_id}:{scope.next_path(self.name)}"
        execution.given_run_ids.add(run_id)
        return run_id

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """Return the run's id: idempotency keys then begin with the flow run, and differ between two agent runs."""
        return run_id if self.in_durable_context else None

    async def get_run_start_time(self, run_id: str) -> datetime | None:
        """Return when the flow run first started, so that `timeout=` counts from there through every execution."""
        context = FlowRunContext.get()
        return context.flow_run.start_time if context is not None and context.flow_run is not None else None

    def _bind_to_agent(self, agent: AbstractAgent[AgentDepsT, Any]) -> None:
        refuse_unserializable_tools(agent)
        super()._bind_to_agent(agent)

    async def before_model_request(
        self, ctx: RunContext[AgentDepsT], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Note which model is asked, after every other hook: one of them may have put another in its place."""
        request_context = await super().before_model_request(ctx, request_context)
        execution = current_execution()
        run = execution.agent_runs.get(ctx.run_id or "") if execution is not None else None
        if run is not None:
            run.model = request_context.model
        return request_context

    def _companion_capabilities(self) -> list[AbstractCapability[AgentDepsT]]:
        companions = super()._companion_capabilities()
        # They take a step of the run, a look for its workspace, before any other hook.
        return [_OpensRun(self), *companions] if companions else []

    async def wrap_run(self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Open the agent run's place among the checkpoints for as long as it lasts."""
        if self._companion_capabilities():
            return await super().wrap_run(ctx, handler=handler)
        return await self.open_run(ctx, lambda: super(Durability, self).wrap_run(ctx, handler=handler))

    async def open_run(
        self, ctx: RunContext[AgentDepsT], run: Callable[[], Awaitable[AgentRunResult[Any]]]
    ) -> AgentRunResult[Any]:
        """Run an agent, with a place among the checkpoints for as long as that lasts.

        Raises:
            ConfigurationError: it cannot be durable here.
            Stopped: another execution owns the flow run.
        """
        execution = current_execution()
        if execution is None:
            raise ConfigurationError(
                f"agent {self.name!r} is durable and was run outside a flow, where nothing would be kept. "
                "Run it in a function decorated with @flow, or build it without Durability"
            )
        scope = step_scope.get()
        if scope is None and TaskRunContext.get() is not None:
            raise ConfigurationError(
                f"agent {self.name!r} was run inside a Prefect task. Each of its steps is a task already, and a task "
                "has no name that is the same in the next execution: run the agent in the flow's body"
            )
        context = FlowRunContext.get()
        if context is not None and context.flow_run is not None and context.flow_run.parent_task_run_id is not None:
            raise ConfigurationError(
                f"agent {self.name!r} was run in a subflow. A subflow gets a new id when its parent is executed again, "
                "so its checkpoints would not be found and its effects would happen twice: run the agent in the outer "
                "flow's body, or start the inner one as a deployment with as_subflow=False"
            )
        run_id = ctx.run_id or ""
        if run_id in execution.agent_runs:
            raise ConfigurationError(f"two agent runs of one flow run are under way with the run id {run_id!r}")
        expected = f"{execution.flow_run_id}:"
        if run_id in execution.given_run_ids:
            execution.given_run_ids.remove(run_id)
            path = run_id.removeprefix(expected)
        else:
            # The caller chose the run id; two runs in turn may carry the same.
            path = (scope or execution.scope).next_path(f"{self.name}-{run_id}")
        execution.begun.add(path)
        suffix = id_suffix(f"{expected}{path}", ctx.conversation_id or "")
        async with get_client() as client:
            execution.agent_runs[run_id] = AgentRun(path=path, id_suffix=suffix, client=client)
            try:
                result = await run()
            except (Exception, asyncio.CancelledError, Stopped):
                # Its own error is what counts; what is not saved now is saved when the run is executed again.
                with suppress(CheckpointStoreUnavailable), anyio.CancelScope(shield=True):
                    await execution.account.save()
                raise
            finally:
                del execution.agent_runs[run_id]
            await execution.account.save()
            # What the flow makes of it, its final state say, is the owner's to do.
            if not execution.is_replay:
                await require(UUID(execution.flow_run_id), execution.number, client)
        return result


class _OpensRun(AbstractCapability[AgentDepsT]):
    """Opens an agent run's place among the checkpoints before anything else begins."""

    def __init__(self, durability: Durability[AgentDepsT]) -> None:
        self._durability = durability

    def get_ordering(self) -> CapabilityOrdering:
        return CapabilityOrdering(position="outermost")

    async def wrap_run(self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        return await self._durability.open_run(ctx, handler)


def id_suffix(agent_run: str, conversation: str) -> str:
    """Return what keeps an agent run's tool calls apart from those of another run of its conversation.

    The same in every execution, in whatever order the runs take their steps; empty where the conversation is its own.

    Args:
        agent_run: `<flow run>:<agent>-<ordinal>`.
        conversation: The conversation's id; of a run without history and without an id of the caller's, equal to it.
    """
    return "" if conversation == agent_run else f"_{hashlib.sha256(agent_run.encode()).hexdigest()[:8]}"


class StepBackend(DurableOperationBackend[None]):
    """Binds every operation of an agent to a step."""

    def __init__(self, *, has_user_handler: bool) -> None:
        self._has_user_handler = has_user_handler

    def bind(self, operation: DurableOperation[ParamsT, WireT, ResultT]) -> BoundDurableOperation[Any, Any, Any]:
        """Return what takes the operation as a step of the run it is called in."""
        if isinstance(operation.operation_id, EventStreamHandlerId):
            return _Event(operation, wanted=self._has_user_handler)
        return _Step(operation)

    def config_for_tool(self, operation: object, *, tool: object | None, tool_name: str) -> Literal[False] | None:
        """Return no configuration: every tool call is a step."""
        return None

    def registrations(self) -> Sequence[Any]:
        """Return nothing: steps need not be known before a run."""
        return ()


class _Step(BoundDurableOperation[ParamsT, WireT, ResultT], Generic[ParamsT, WireT, ResultT]):
    def __init__(self, operation: DurableOperation[ParamsT, WireT, ResultT]) -> None:
        self._operation = operation

    @property
    def operation(self) -> DurableOperation[ParamsT, WireT, ResultT]:
        return self._operation

    async def __call__(self, params: ParamsT, *, config: object | None = None) -> ResultT:
        return cast(ResultT, await take_step(cast("DurableOperation[Any, Any, Any]", self._operation), params))


class _Event(_Step[ParamsT, WireT, ResultT]):
    """A tool's event on its way to a handler: shown, not kept."""

    def __init__(self, operation: DurableOperation[ParamsT, WireT, ResultT], *, wanted: bool) -> None:
        super().__init__(operation)
        self._wanted = wanted

    async def __call__(self, params: ParamsT, *, config: object | None = None) -> ResultT:
        return cast(ResultT, await self._operation.handler(params) if self._wanted else None)
