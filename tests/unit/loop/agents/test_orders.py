"""The smallest agent through the real loop: look up, refund, answer; and correct a call that cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ToolReturnPart

from tests.order_desks import deps_for, small_records, sqlite_url
from triptych.errors import BudgetExceeded
from triptych.loop.agents import orders
from triptych.loop.approvals import run_metadata
from triptych.loop.desk import OrderDesk
from triptych.loop.limits import WithinLimits
from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.loop.tools.orders import orders_toolset
from triptych.records import PlannedCall, Resolution

FINAL = {"outcome": "resolved", "answer": "4.40 dollars are on their way."}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[OrderDesk]:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
        yield desk


def plan(*calls: tuple[str, dict[str, Any]]) -> Plan:
    turns = tuple(Turn(calls=(PlannedCall(name=name, arguments=arguments),)) for name, arguments in calls)
    return Plan(turns=turns, final=FINAL)


async def run(desk: OrderDesk, plan: Plan) -> tuple[Resolution, list[tuple[str, str]]]:
    agent = orders.build_agent(ScriptedModel(plan), capabilities=[WithinLimits(orders.LIMITS)])
    answer = await agent.run(
        "help", deps=deps_for(desk), usage_limits=orders.LIMITS.usage_limits(), metadata=run_metadata(500)
    )
    assert isinstance(answer.output, Resolution)
    parts = [part for message in answer.all_messages() if isinstance(message, ModelRequest) for part in message.parts]
    outcomes = [(part.tool_name, part.outcome) for part in parts if isinstance(part, ToolReturnPart)]
    return answer.output, outcomes


async def test_look_up_refund_answer(desk: OrderDesk) -> None:
    lookup, refund = ("order_lookup", {"order_id": "#1"}), ("refund", {"order_id": "#1", "amount": 4.4})
    output, outcomes = await run(desk, plan(lookup, refund))
    assert output.answer == FINAL["answer"]
    assert outcomes == [("order_lookup", "success"), ("refund", "success"), ("final_result", "success")]
    (effect,) = desk.effects()
    assert (effect.tool, effect.arguments) == ("refund", {"order_id": "#1", "amount": 4.4})
    assert desk.orders()["#1"]["payment_history"][-1]["amount"] == 4.4


@pytest.mark.parametrize("amount", [20.31, 0.001])
async def test_a_refund_that_cannot_be_made_may_be_corrected(desk: OrderDesk, amount: float) -> None:
    wrong, right = ({"order_id": "#1", "amount": amount}, {"order_id": "#1", "amount": 20.3})
    _, outcomes = await run(desk, plan(("refund", wrong), ("refund", right)))
    assert [outcome for _, outcome in outcomes] == ["retried", "success", "success"]
    assert [effect.arguments["amount"] for effect in desk.effects()] == [20.3]


def test_an_amount_of_nothing_is_against_the_schema() -> None:
    schema = orders_toolset().tools["refund"].tool_def.parameters_json_schema
    assert schema["properties"]["amount"]["exclusiveMinimum"] == 0


async def test_five_steps_and_no_more(desk: OrderDesk) -> None:
    with pytest.raises(BudgetExceeded, match="5 steps"):
        await run(desk, plan(*[("order_lookup", {"order_id": "#1"})] * 5))


async def test_two_runs_that_repeat_their_call_ids_make_two_refunds(desk: OrderDesk) -> None:
    refund = plan(("refund", {"order_id": "#1", "amount": 4.4}))
    await run(desk, refund)
    await run(desk, refund)
    first, second = desk.effects()
    assert first.key.rpartition(":")[2] == second.key.rpartition(":")[2]
    assert first.key != second.key
    assert len(desk.orders()["#1"]["payment_history"]) == 3
