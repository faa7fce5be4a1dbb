"""Runs of durable agents in the test's own process: a flow run that can be executed again and again under one id.

`execute` does what the engine of a worker's process does with a flow run (`run_flow` on an existing one); what needs a
process of its own to be killed is in `tests/resume`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow_async
from prefect.states import Scheduled
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart
from pydantic_ai.models import Model

from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.loop.witness import Witness, read
from triptych.records import PlannedCall
from triptych.runtime.checkpoints import REDO, run_prefix
from triptych.runtime.durability import Durability
from triptych.runtime.results import PLAIN_JSON
from triptych.runtime.store import CheckpointStore

Body = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Execution:
    """One execution of a flow run: what its body returned, or what ended it."""

    flow_run_id: UUID
    value: Any = None
    error: BaseException | None = None

    @property
    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass
class DurableRuns:
    """Executes bodies as flow runs over one store."""

    store: CheckpointStore
    folder: Path
    """For witness files."""

    @property
    def witness(self) -> Witness:
        return Witness(self.folder / "witness.jsonl")

    @property
    def asked(self) -> list[str]:
        """The model requests so far, by the witness: `request:<n>` of each conversation."""
        return [line.key for line in read(self.witness.path) if line.event == "request.started"]

    def model(self, plan: Plan) -> ScriptedModel:
        return ScriptedModel(plan, witness=self.witness)

    async def execute(self, body: Body, flow_run_id: UUID | None = None, **options: Any) -> Execution:
        """Execute `body` as a new flow run, or an existing one once more."""
        await cast(Any, self.store.save("durable-runs", overwrite=True))
        seen: dict[str, Any] = {}

        settings: Any = {
            "name": "durable-run",
            "result_storage": "checkpoint-store/durable-runs",
            "persist_result": True,
            "result_serializer": PLAIN_JSON,
            **options,
        }

        async def durable_run() -> None:
            seen.clear()
            try:
                seen["value"] = await body()
            except BaseException as error:
                seen["error"] = error
                raise

        durable: Any = flow(**settings)(durable_run)
        async with get_client() as client:
            if flow_run_id is None:
                flow_run_id = (await client.create_flow_run(durable)).id
            else:
                await client.set_flow_run_state(flow_run_id, Scheduled(), force=True)
            flow_run = await client.read_flow_run(flow_run_id)
        await run_flow_async(durable, flow_run=flow_run, return_type="state")
        return Execution(flow_run_id, **seen)

    async def let_lost_steps_be_done_again(self, flow_run_id: UUID) -> None:
        """Give a flow run the tag with which a person says so."""
        async with get_client() as client:
            await client.update_flow_run(flow_run_id, tags=[REDO])

    async def checkpoints(self, flow_run_id: UUID) -> list[str]:
        return await self.store.keys(run_prefix(str(flow_run_id)))


def calls(*planned: tuple[str, dict[str, Any]], ids: Sequence[str] | None = None) -> Turn:
    """A turn of a plan: tools and their arguments."""
    return Turn(
        calls=tuple(PlannedCall(name=name, arguments=arguments) for name, arguments in planned),
        tool_call_ids=None if ids is None else tuple(ids),
    )


def durable_agent(model: Model[Any], *tools: Any, name: str = "small", **options: Any) -> Agent[Any, Any]:
    """A small durable agent."""
    options = {"name": name, "tools": tools, "instructions": "Be brief.", "capabilities": [Durability()]} | options
    return Agent(model, **options)


def tool_returns(messages: Sequence[ModelMessage]) -> list[tuple[str, Any]]:
    """What the model was told by its tools, in order."""
    return [
        (part.tool_call_id, part.content)
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
