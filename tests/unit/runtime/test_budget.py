"""What may be spent, by a run, a flow and a day; counted from checkpoints, through every execution."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai import DeferredToolRequests, RunContext, Tool
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import RequestUsage, RunUsage

from tests.components.prefect_server import PrefectServer
from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.resume.six_step_run import goodwill
from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.limits import Limits, WithinLimits
from triptych.loop.models import Plan
from triptych.runtime.account import Account
from triptych.runtime.agents import run_durable
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget, load_budget
from triptych.runtime.durability import Durability
from triptych.runtime.spending import Spent, spent_by_others
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings

LIMITS = Limits(steps=50)
THREE_REFUNDS = Plan(
    turns=tuple(calls(("goodwill", {"order_id": f"#{name}", "amount": 5.0})) for name in "ABC"), final="done"
)
"""Four model requests."""


def refunding(runs: DurableRuns, desk: OrderDesk, budget: Budget, *, model: Any = None) -> Any:
    async def body() -> Any:
        held = [WithinLimits(LIMITS), Durability()]
        agent = durable_agent(model or runs.model(THREE_REFUNDS), goodwill, deps_type=DeskDeps, capabilities=held)
        return (await run_durable(agent, "Refund.", deps=DeskDeps(desk), limits=LIMITS, budget=budget)).output

    return body


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.mark.parametrize(
    ("limit", "asked"),
    [
        ({"run_steps": 2}, 2),
        ({"run_tokens": 1}, 1),
        ({"run_cost_usd": 1e-9}, 1),
        ({"run_seconds": 1e-9}, 1),
        ({"flow_steps": 3}, 3),
        ({"day_cost_usd": 1e-9}, 1),
    ],
)
async def test_what_is_reached_lets_no_further_request_be_made(
    runs: DurableRuns, desk: OrderDesk, limit: dict[str, Any], asked: int
) -> None:
    run = await runs.execute(refunding(runs, desk, Budget(**limit)))
    assert isinstance(run.error, BudgetExceeded)
    assert len(runs.asked) == asked
    assert run.error.usage["steps"] == asked
    # What the last response wanted done is not: that would be one more step.
    assert len(desk.effects()) == asked - 1
    # What it had achieved.
    assert str(run.error).count("goodwill") == asked - 1


async def test_the_count_survives_executions_and_counts_nothing_twice(runs: DurableRuns, desk: OrderDesk) -> None:
    first = await runs.execute(refunding(runs, desk, Budget(run_steps=2, day_steps=10)))
    again = await runs.execute(refunding(runs, desk, Budget(run_steps=2, day_steps=10)), first.flow_run_id)
    assert isinstance(again.error, BudgetExceeded)
    assert len(runs.asked) == 2
    third = await runs.execute(refunding(runs, desk, Budget(run_steps=3, day_steps=10)), first.flow_run_id)
    assert isinstance(third.error, BudgetExceeded)
    assert len(runs.asked) == 3
    last = await runs.execute(refunding(runs, desk, Budget(run_steps=4, day_steps=10)), first.flow_run_id)
    assert last.result == "done"
    (spent,) = (await spent_by_others(runs.store, today(), "another")).values()
    assert spent.steps == 4
    assert len(await runs.store.keys("spending")) == 1


async def test_a_day_counts_all_runs_and_a_flow_its_own(runs: DurableRuns, desk: OrderDesk) -> None:
    generous = Budget(day_steps=100)
    assert (await runs.execute(refunding(runs, desk, generous), name="one")).result == "done"
    assert len(runs.asked) == 4
    # Another flow has spent nothing, and the day has.
    assert (await runs.execute(refunding(runs, desk, Budget(flow_steps=5)), name="two")).result == "done"
    assert len(runs.asked) == 8
    stopped = await runs.execute(refunding(runs, desk, Budget(flow_steps=5)), name="one")
    assert isinstance(stopped.error, BudgetExceeded)
    assert "the runs of one flow in a day" in str(stopped.error)
    assert len(runs.asked) == 9
    stopped = await runs.execute(refunding(runs, desk, Budget(day_steps=9)), name="three")
    assert isinstance(stopped.error, BudgetExceeded)
    assert "all runs in a day" in str(stopped.error)
    assert len(runs.asked) == 9


async def test_a_run_that_needs_nothing_further_ends_well(runs: DurableRuns, desk: OrderDesk) -> None:
    first = await runs.execute(refunding(runs, desk, Budget(run_steps=4)))
    assert first.result == "done"
    # Nor is a limit that was lowered since held against what is paid.
    again = await runs.execute(refunding(runs, desk, Budget(run_steps=1)), first.flow_run_id)
    assert again.result == "done"


async def test_nobody_is_asked_to_approve_what_could_not_be_done(runs: DurableRuns) -> None:
    def pay(ctx: RunContext[Any]) -> str:
        raise AssertionError("nobody approved it")

    async def body() -> Any:
        plan = Plan(turns=(calls(("pay", {})),), final="done")
        held = [WithinLimits(LIMITS), Durability()]
        tool = Tool(pay, requires_approval=True)
        agent = durable_agent(runs.model(plan), tool, output_type=[str, DeferredToolRequests], capabilities=held)
        budget = Budget(run_steps=1)
        return await run_durable(agent, "Pay.", deps=None, limits=LIMITS, policy=ApprovalPolicy(), budget=budget)

    run = await runs.execute(body)
    assert isinstance(run.error, BudgetExceeded)
    assert await runs.store.keys("approvals") == []


async def test_an_agent_without_a_budget_leaves_the_one_in_force(runs: DurableRuns) -> None:
    async def body() -> None:
        agent = durable_agent(runs.model(Plan(final="done")), capabilities=[WithinLimits(LIMITS), Durability()])
        await run_durable(agent, "One.", deps=None, limits=LIMITS, budget=Budget(run_steps=1))
        await run_durable(agent, "Two.", deps=None, limits=LIMITS)

    run = await runs.execute(body)
    assert isinstance(run.error, BudgetExceeded)
    assert len(runs.asked) == 1


async def test_dollars_need_a_list_price(runs: DurableRuns, desk: OrderDesk) -> None:
    run = await runs.execute(refunding(runs, desk, Budget(day_cost_usd=1.0), model=TestModel()))
    assert isinstance(run.error, ConfigurationError)
    assert "price" in str(run.error)


class _Switch(AbstractCapability[Any]):
    """Has another model asked than the agent's own."""

    def __init__(self, model: TestModel) -> None:
        self.model = model

    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        request_context.model = self.model
        return request_context


@pytest.mark.parametrize("way", ["switched", "within a tool"])
async def test_dollars_need_a_list_price_of_every_model(runs: DurableRuns, way: str) -> None:
    unpriced = TestModel()

    async def ask() -> str:
        return (await durable_agent(unpriced, name="inner").run("Go.")).output

    async def body() -> Any:
        model = runs.model(Plan(turns=(calls(("ask", {})),), final="done"))
        durability: Any = Durability(models={"unpriced": unpriced})
        switch = [_Switch(unpriced)] if way == "switched" else []
        agent = durable_agent(model, ask, capabilities=[*switch, WithinLimits(LIMITS), durability])
        return await run_durable(agent, "Go.", deps=None, limits=LIMITS, budget=Budget(run_cost_usd=1.0))

    run = await runs.execute(body)
    assert isinstance(run.error, ConfigurationError), run.error
    assert "price" in str(run.error)
    assert unpriced.last_model_request_parameters is None


class _Compacting(WrapperModel):
    """Answers a compaction with a response of its own."""

    async def compact_messages(
        self, request_context: ModelRequestContext, *, instructions: str | None = None
    ) -> ModelResponse:
        return ModelResponse(parts=[TextPart("in short")], usage=RequestUsage(input_tokens=7), model_name="scripted")


class _Compact(AbstractCapability[Any]):
    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        await request_context.model.compact_messages(request_context)
        return request_context


async def test_a_compaction_is_a_model_request(runs: DurableRuns) -> None:
    async def body() -> Any:
        model = _Compacting(runs.model(Plan(final="done")))
        agent = durable_agent(model, capabilities=[_Compact(), WithinLimits(LIMITS), Durability()])
        return (await run_durable(agent, "Go.", deps=None, limits=LIMITS, budget=Budget(run_steps=1))).output

    run = await runs.execute(body)
    assert isinstance(run.error, BudgetExceeded), run.error
    assert "made 1 model requests with 7 tokens" in str(run.error)
    assert runs.asked == []


def test_figures_are_written_as_a_person_writes_them() -> None:
    account = Account(CheckpointStore(location="/nowhere"), "run", "flow")
    with pytest.raises(BudgetExceeded, match=r"budget of 1234567 tokens for a run is spent \(1234568\)"):
        Budget(run_tokens=1_234_567).require("run", Spent(tokens=1_234_568), account, RunUsage())
    with pytest.raises(BudgetExceeded, match=r"budget of 0\.3 dollars for a run is spent \(0\.3\)"):
        Budget(run_cost_usd=0.3).require("run", Spent(cost_usd=0.1 + 0.2), account, RunUsage())


@pytest.mark.parametrize("fields", [{"run_stps": 3}, {"run_steps": True}, {"run_steps": 0}, {"day_cost_usd": "nan"}])
def test_a_limit_that_is_none_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Budget(**fields)


def test_an_emptied_field_is_no_limit() -> None:
    assert Budget(run_steps="", day_cost_usd="").model_dump() == Budget().model_dump()  # pyright: ignore[reportArgumentType]


async def test_a_saved_budget_is_in_force_and_a_missing_one_is_none(prefect_server: PrefectServer) -> None:
    assert (await load_budget(Settings())).concerns_others is False
    with pytest.raises(ConfigurationError, match="budget/nobody-saved-it cannot be loaded"):
        await load_budget(Settings(budget_block="nobody-saved-it"))
    await Budget(day_cost_usd=7.0).save("mine")  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]
    mine = await load_budget(Settings(budget_block="mine"))
    assert mine.day_cost_usd == 7.0
    # What Prefect adds to a block that it hands on is not taken for a limit.
    assert Budget.model_validate(mine.model_dump(context={"include_secrets": True})).day_cost_usd == 7.0
    assert Budget(**mine.model_dump()).day_cost_usd == 7.0
