"""The flow of the kill matrix. The harness tells it by the environment where things are and where it is to die."""

from __future__ import annotations

import json
import os
from typing import Any

from prefect import flow
from pydantic_ai.messages import ModelRequest, ToolReturnPart

from tests.resume.kill_switch import KillSwitch, SwitchedDesk, SwitchedWitness, watch_store
from tests.resume.rivals import contend
from tests.resume.six_step_run import LIMITS, PLAN, Kill, build_agent
from triptych.loop.approvals import run_metadata
from triptych.loop.deps import DeskDeps
from triptych.loop.limits import WithinLimits, spending
from triptych.loop.models import ScriptedModel
from triptych.runtime.durability import Durability
from triptych.runtime.journal import current_execution
from triptych.runtime.results import PLAIN_JSON

TOLD: dict[str, Any] = json.loads(os.environ["SIX_STEPS"])


@flow(
    name="six-steps",
    result_storage=f"checkpoint-store/{TOLD['store']}",
    persist_result=True,
    result_serializer=PLAIN_JSON,
)
async def six_steps() -> dict[str, Any]:
    pace_seconds = contend(TOLD.get("rival"))
    execution = current_execution()
    # Through a worker both executions are told the same; only the first is to die.
    dies = TOLD["kill"] and execution is not None and execution.number == 1
    switch = KillSwitch(Kill(*TOLD["kill"]) if dies else None, pace_seconds=pace_seconds)
    watch_store(switch)
    witness = SwitchedWitness(TOLD["witness"], switch)
    with SwitchedDesk(TOLD["desk"], switch, forgets_keys=TOLD["forgets_keys"]) as desk:
        agent = build_agent(ScriptedModel(PLAN, witness=witness), capabilities=[WithinLimits(LIMITS), Durability()])
        result = await agent.run(
            "Please refund.",
            deps=DeskDeps(desk=desk, witness=witness),
            usage_limits=LIMITS.usage_limits(),
            metadata=run_metadata(500),
        )
    return {
        "output": result.output.model_dump(mode="json"),
        "spending": spending(result.usage).model_dump(mode="json"),
        "tool_results": {
            part.tool_call_id: part.model_response_str()
            for message in result.all_messages()
            if isinstance(message, ModelRequest)
            for part in message.parts
            if isinstance(part, ToolReturnPart)
        },
    }
