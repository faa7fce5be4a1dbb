"""Limits: enforced by pydantic-ai, before the next request is paid; told as `BudgetExceeded`, with the usage."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai import RunContext
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults
from pydantic_ai.usage import RunUsage

from tests.unit.loop.models.toy_agent import PLAN, Verdict, responses, toy_agent
from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.loop.limits import Limits, WithinLimits, spending
from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.loop.witness import Witness, read
from triptych.records import PlannedCall, Spending

ENOUGH = Limits(steps=4)


async def _drain(_: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
    async for _event in events:
        pass


async def _run(limits: Limits, witness: Witness | None = None, **options: Any) -> Any:
    agent = toy_agent(ScriptedModel(PLAN, witness=witness), capabilities=[WithinLimits(limits)])
    return await agent.run("Go.", usage_limits=limits.usage_limits(), **options)


@pytest.mark.parametrize("field", ["steps", "tokens", "cost_usd"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_is_more_than_nothing(field: str, value: int) -> None:
    with pytest.raises(ValidationError, match=field):
        Limits.model_validate({"steps": 1, field: value})


async def test_a_run_within_its_limits_ends_as_ever() -> None:
    result = await _run(ENOUGH)

    assert result.output == Verdict(answer="All done.", score=3)


async def test_spending_is_the_sum_over_the_responses() -> None:
    result = await _run(ENOUGH)

    played = responses(result.all_messages())
    assert spending(result.usage) == Spending(
        steps=4,
        tool_calls=4,
        input_tokens=sum(response.usage.input_tokens for response in played),
        output_tokens=sum(response.usage.output_tokens for response in played),
        cost_usd=float(sum(response.usage.cost or 0 for response in played)),
    )
    assert spending(RunUsage()) == Spending()


@pytest.mark.parametrize("handler", [None, _drain], ids=["whole", "streamed"])
@pytest.mark.parametrize("limit", ["steps", "tokens", "cost_usd"])
async def test_what_comes_after_the_limit_is_not_paid(tmp_path: Path, limit: str, handler: Any) -> None:
    """Limits that the first two responses reach: by count, or by what both together cost."""
    first_two = responses((await _run(ENOUGH)).all_messages())[:2]
    spent = RunUsage()
    for response in first_two:
        spent.incr(response.usage)
    assert spent.cost is not None
    values = {"steps": 2, "tokens": spent.total_tokens - 1, "cost_usd": float(spent.cost) * 0.999}
    limits = Limits.model_validate({"steps": 4, limit: values[limit]})
    witness = Witness(tmp_path / "w.jsonl")

    with pytest.raises(BudgetExceeded) as caught:
        await _run(limits, witness, event_stream_handler=handler)

    assert [line.key for line in read(witness.path) if line.event == "request.started"] == ["request:1", "request:2"]
    assert caught.value.usage == {
        "steps": 2,
        # A response that breaks a limit of tokens or dollars is the last: the tools it calls are not run.
        "tool_calls": 3 if limit == "steps" else 1,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost_usd": pytest.approx(float(spent.cost)),
    }
    words = {"steps": "2 steps", "tokens": f"{limits.tokens} tokens", "cost_usd": f"{limits.cost_usd} dollars"}
    assert f"limit of {words[limit]}:" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).usage == caught.value.usage


async def test_a_limit_that_is_met_and_not_exceeded_holds() -> None:
    result = await _run(ENOUGH)
    exact = Limits(steps=4, tokens=result.usage.total_tokens, cost_usd=float(result.usage.cost))

    assert (await _run(exact)).output == result.output


async def test_an_approval_round_goes_on_counting() -> None:
    plan = Plan(turns=(Turn(calls=(PlannedCall(name="pay"),)),) * 2, final={"answer": "Paid twice."})
    limits = Limits(steps=2)
    agent = toy_agent(
        ScriptedModel(plan), output_type=[Verdict, DeferredToolRequests], capabilities=[WithinLimits(limits)]
    )

    @agent.tool_plain(requires_approval=True)
    def pay() -> str:
        return "paid"

    usage = RunUsage()
    messages: Any = None
    decision: DeferredToolResults | None = None
    for _round in range(2):
        result = await agent.run(
            None if messages else "Go.",
            message_history=messages,
            deferred_tool_results=decision,
            usage=usage,
            usage_limits=limits.usage_limits(),
        )
        assert isinstance(result.output, DeferredToolRequests)
        messages, usage = result.all_messages(), result.usage
        decision = DeferredToolResults(approvals={call.tool_call_id: True for call in result.output.approvals})

    with pytest.raises(BudgetExceeded) as caught:
        await agent.run(
            message_history=messages,
            deferred_tool_results=decision,
            usage=usage,
            usage_limits=limits.usage_limits(),
        )
    assert caught.value.usage["steps"] == 2


async def test_limits_beyond_the_library_s_own_default_hold() -> None:
    turn = Turn(calls=(PlannedCall(name="add", arguments={"numbers": []}),))
    limits = Limits(steps=61)
    agent = toy_agent(
        ScriptedModel(Plan(turns=(turn,) * 60, final={"answer": ""})), capabilities=[WithinLimits(limits)]
    )

    assert (await agent.run("Go.", usage_limits=limits.usage_limits())).usage.requests == 61


@pytest.mark.parametrize("given", [None, Limits(steps=50).usage_limits()], ids=["none", "others"])
async def test_a_run_that_is_not_given_the_limits_is_refused(tmp_path: Path, given: Any) -> None:
    witness = Witness(tmp_path / "w.jsonl")
    agent = toy_agent(ScriptedModel(PLAN, witness=witness), capabilities=[WithinLimits(ENOUGH)])

    with pytest.raises(ConfigurationError, match="usage_limits"):
        await agent.run("Go.", usage_limits=given)

    assert read(witness.path) == []


async def test_dollars_cannot_be_limited_for_a_model_without_a_price() -> None:
    model = TestModel(call_tools=[])
    for limits in (Limits(steps=1), Limits(steps=1, cost_usd=None)):
        agent = toy_agent(model, capabilities=[WithinLimits(limits)])
        if limits.cost_usd is None:
            assert isinstance((await agent.run("Go.", usage_limits=limits.usage_limits())).output, Verdict)
        else:
            with pytest.raises(ConfigurationError, match="price of test:test is not known"):
                await agent.run("Go.", usage_limits=limits.usage_limits())
            assert model.last_model_request_parameters is None  # it was not asked


async def test_other_errors_pass_unchanged() -> None:
    agent = toy_agent(
        ScriptedModel(Plan(turns=(Turn(calls=(PlannedCall(name="explode"),)),), final={"answer": ""})),
        capabilities=[WithinLimits(ENOUGH)],
    )

    @agent.tool_plain
    def explode() -> str:
        raise ZeroDivisionError("boom")

    with pytest.raises(ZeroDivisionError, match="boom"):
        await agent.run("Go.", usage_limits=ENOUGH.usage_limits())
