"""A plan that does not fit the agent is refused before anything is spent; through a real agent."""

from __future__ import annotations

from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import NativeOutput, RunContext
from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelRequest,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from tests.unit.loop.models.toy_agent import PLAN, Verdict, toy_agent
from triptych.errors import ConfigurationError
from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.loop.witness import Witness, read
from triptych.records import PlannedCall

_MISFITS = {
    "a tool that is not there": (
        PLAN.model_copy(update={"turns": (*PLAN.turns, Turn(calls=(PlannedCall(name="fly"),)))}),
        Verdict,
        r"calls the tool fly, which the agent does not have \(it has: add, look_up\)",
    ),
    "arguments against the schema, in the last turn": (
        PLAN.model_copy(
            update={"turns": (*PLAN.turns, Turn(calls=(PlannedCall(name="add", arguments={"numbers": "one"}),)))}
        ),
        Verdict,
        r"arguments for the tool add violate the tool's schema: \$\.numbers: 'one' is not of type 'array'",
    ),
    "a missing argument": (
        Plan(turns=(Turn(calls=(PlannedCall(name="look_up"),)),), final={"answer": ""}),
        Verdict,
        "'order_id' is a required property",
    ),
    "an output that no output tool takes": (
        PLAN.model_copy(update={"final": {"answer": 3}}),
        Verdict,
        "no output tool takes its final output .*3 is not of type 'string'",
    ),
    "text where an object is wanted": (PLAN.model_copy(update={"final": "Done."}), Verdict, "wants a structured one"),
    "an output that the native schema refuses": (
        PLAN.model_copy(update={"final": {"answer": 3}}),
        NativeOutput(Verdict),
        "final output violates the output's schema",
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("plan", "output_type", "complaint"), _MISFITS.values(), ids=_MISFITS.keys())
async def test_a_plan_that_does_not_fit_spends_nothing(
    tmp_path: Path, plan: Plan, output_type: Any, complaint: str, stream: bool
) -> None:
    witness = Witness(tmp_path / "w.jsonl")
    agent = toy_agent(ScriptedModel(plan, witness=witness), output_type=output_type)

    async def ignore(_: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        async for _event in events:
            pytest.fail("something was streamed")

    with pytest.raises(ConfigurationError, match=complaint):
        await agent.run("Go.", event_stream_handler=ignore if stream else None)

    assert read(witness.path) == []


async def test_a_later_request_checks_its_own_turn_against_the_tools_of_then() -> None:
    """The tools of an agent may change while a run waits; what is played now must fit now."""
    first = await toy_agent(ScriptedModel(PLAN)).run("Go.")
    changed = PLAN.model_copy(update={"turns": (PLAN.turns[0], Turn(calls=(PlannedCall(name="fly"),)))})

    with pytest.raises(ConfigurationError, match="calls the tool fly"):
        await toy_agent(ScriptedModel(changed)).run(message_history=first.all_messages()[:3])


async def test_an_output_tool_alone_is_not_enough_for_text() -> None:
    parameters = ModelRequestParameters(
        output_mode="tool", output_tools=[ToolDefinition(name="done")], allow_text_output=False
    )

    with pytest.raises(ConfigurationError, match="plain text"):
        await ScriptedModel(Plan(final="Hi.")).request([ModelRequest(parts=[])], None, parameters)


async def test_an_object_without_anywhere_to_put_it() -> None:
    parameters = ModelRequestParameters(output_mode="tool", allow_text_output=False)

    with pytest.raises(ConfigurationError, match="the request offers none"):
        await ScriptedModel(Plan(final={})).request([ModelRequest(parts=[])], None, parameters)
