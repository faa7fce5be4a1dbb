"""The single call: one structured request, no tools, and no second try."""

from __future__ import annotations

import pytest
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from triptych.errors import BudgetExceeded
from triptych.loop.limits import WithinLimits
from triptych.loop.models import ScriptedModel, plan_for_triage
from triptych.loop.triage import LIMITS, NAME, build_triage_agent
from triptych.records import Ticket, Triage

TICKET = Ticket(id="t", instruction="Cancel #1.", actions=())


async def test_one_request_and_a_triage() -> None:
    agent = build_triage_agent(ScriptedModel(plan_for_triage(TICKET)), capabilities=[WithinLimits(LIMITS)])
    answer = await agent.run(TICKET.instruction, usage_limits=LIMITS.usage_limits())
    assert isinstance(answer.output, Triage)
    assert answer.usage.requests == 1
    assert (agent.name, NAME, LIMITS.steps) == ("triage", "triage", 1)


async def test_the_model_is_offered_no_tools_but_the_answer() -> None:
    offered: list[AgentInfo] = []

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        offered.append(info)
        arguments = {"category": "question", "urgency": "low", "needs_agent": False, "answer": "8:00 to 20:00"}
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, arguments)])

    answer = await build_triage_agent(FunctionModel(model)).run("When are you open?")
    assert answer.output.answer == "8:00 to 20:00"
    assert [info.function_tools for info in offered] == [[]]
    assert "You sort support tickets" in (offered[0].instructions or "")


@pytest.mark.parametrize("urgency", ["panic", None])
async def test_an_answer_that_does_not_fit_is_not_asked_for_again(urgency: str | None) -> None:
    requests = 0

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        nonlocal requests
        requests += 1
        if urgency is None:
            return ModelResponse(parts=[TextPart("It is about opening hours.")])
        arguments = {"category": "question", "urgency": urgency, "needs_agent": False}
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, arguments)])

    agent = build_triage_agent(FunctionModel(model))
    with pytest.raises((UnexpectedModelBehavior, BudgetExceeded)):
        await agent.run("When are you open?", usage_limits=LIMITS.usage_limits())
    assert requests == 1
