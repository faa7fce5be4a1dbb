"""What a run has spent and changed is known in every execution, and to other runs, whichever steps are walked again."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
    ToolFailed,
)

from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.resume.six_step_run import goodwill
from triptych.errors import BudgetExceeded
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.limits import Limits, WithinLimits
from triptych.loop.models import Plan
from triptych.records import Checkpoint, StepInputs
from triptych.runtime.account import Account
from triptych.runtime.agents import run_durable
from triptych.runtime.budget import Budget
from triptych.runtime.checkpoints import encode
from triptych.runtime.durability import Durability
from triptych.runtime.journal import current_execution
from triptych.runtime.spending import Spent, spent_by_others

LIMITS = Limits(steps=50)
REFUNDS = tuple(calls(("goodwill", {"order_id": f"#{name}", "amount": 5.0})) for name in "ABC")
DAY = "2026-01-31"
FOUR_REQUESTS = Plan(turns=REFUNDS, final="done")


class Crash(Exception):
    """What ends an execution."""


async def run(agent: Agent[Any, Any], budget: Budget | None = None, deps: Any = None) -> Any:
    return (await run_durable(agent, "Do it.", deps=deps, limits=LIMITS, budget=budget)).output


def held(runs: DurableRuns, plan: Plan, *tools: Any, **options: Any) -> Agent[Any, Any]:
    """A durable agent that is held to LIMITS."""
    held: dict[str, Any] = {"capabilities": [WithinLimits(LIMITS), Durability()]}
    return durable_agent(runs.model(plan), *tools, **held | options)


def refunder(runs: DurableRuns, **options: Any) -> Agent[Any, Any]:
    return held(runs, FOUR_REQUESTS, goodwill, **{"deps_type": DeskDeps} | options)


def step(name: str, seconds: float, *, execution: int = 1, tool_call_id: str | None = None) -> Checkpoint:
    return Checkpoint(
        key=f"checkpoints/run/{name}.{execution}.json",
        flow_run_id="run",
        agent_run=name.rpartition("/")[0],
        sequence=1,
        operation="tool-delegate" if tool_call_id is not None else "model-request",
        tool_call_id=tool_call_id,
        label=name,
        inputs=StepInputs(previous="", static="", digest=""),
        execution=execution,
        started_at=datetime.fromisoformat(f"{DAY}T12:00:00Z"),
        seconds=seconds,
        payload_bytes=2,
    )


def today() -> str:
    return datetime.now(UTC).date().isoformat()


async def known(runs: DurableRuns) -> Spent:
    """What other runs see of the one flow that spent anything today."""
    (spent,) = (await spent_by_others(runs.store, today(), "another")).values()
    return spent


async def forget(runs: DurableRuns) -> None:
    for key in await runs.store.keys("spending"):
        await runs.store.remove(key)


async def test_an_agent_that_a_tool_has_started_counts_in_every_execution(runs: DurableRuns, desk: OrderDesk) -> None:
    async def delegate() -> str:
        return (
            await refunder(runs, name="inner", capabilities=[Durability()]).run("Refund.", deps=DeskDeps(desk))
        ).output

    async def body() -> Any:
        plan = Plan(turns=(calls(("delegate", {})), calls(("delegate", {}))), final="done")
        return await run(held(runs, plan, delegate), Budget(run_steps=5, day_steps=100))

    flow_run_id = None
    for _ in range(3):
        done = await runs.execute(body, flow_run_id)
        flow_run_id = done.flow_run_id
        assert isinstance(done.error, BudgetExceeded)
        assert "made 5 model requests" in str(done.error)
        # What the inner agent did, and the call that started it.
        assert str(done.error).count("goodwill") == 3
        assert len(runs.asked) == 5
    assert (await known(runs)).steps == 5


@pytest.mark.parametrize("is_opened", [False, True], ids=["as it goes", "in another execution"])
async def test_the_time_of_an_agent_within_a_tool_counts_once(runs: DurableRuns, is_opened: bool) -> None:
    steps = [
        step("outer-0/0001-delegate-1/inner-0/0001-model-request", 2.0),
        step("outer-0/0001-delegate-1/inner-0/0001-model-request", 8.0, execution=2),  # both were paid
        step("outer-0/0001-delegate-1", 16.0, tool_call_id="1"),
        step("outer-0/0001-quick-2", 1.0, tool_call_id="2"),
        step("outer-0/0001-given-3", 64.0, execution=0, tool_call_id="3"),  # another run paid it
    ]
    account = Account(runs.store, "run", "flow")
    if is_opened:
        for each in steps:
            await runs.store.write(each.key, encode(each, b"{}"))
        # A leftover that is not whole is for the step that needs it to complain of.
        await runs.store.write("checkpoints/run/outer-0/0009-torn.1.json", b"torn")
        for _ in range(2):
            await account.open(await runs.store.keys("checkpoints/run"))
    else:
        for each in steps:
            account.count(each, {})
    assert account.spent == Spent(seconds=11.0)


def test_steps_that_end_in_several_threads_are_all_counted(runs: DurableRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Spent.__add__

    def slowly(one: Spent, other: Spent) -> Spent:
        time.sleep(0.01)
        return add(one, other)

    monkeypatch.setattr(Spent, "__add__", slowly)
    account = Account(runs.store, "run", "flow")
    with ThreadPoolExecutor() as threads:
        for number in range(4):
            threads.submit(account.count, step(f"agent-{number}/0001-look", 1.0), {})
    assert account.spent_on(DAY).seconds == 4.0


async def test_what_a_parallel_agent_had_paid_counts_before_it_is_walked_again(
    runs: DurableRuns, desk: OrderDesk
) -> None:
    def agents(*names: str) -> Any:
        async def body() -> list[Any]:
            budget = Budget(run_steps=len(runs.asked) or 2)
            some = (run(refunder(runs, name=name), budget, DeskDeps(desk)) for name in names)
            for each in (done := await asyncio.gather(*some, return_exceptions=True)):
                if isinstance(each, BaseException):
                    raise each
            return done

        return body

    first = await runs.execute(agents("one", "two"))
    assert isinstance(first.error, BudgetExceeded)
    paid = len(runs.asked)
    assert paid >= 2
    again = await runs.execute(agents("one"), first.flow_run_id)
    assert isinstance(again.error, BudgetExceeded)
    assert len(runs.asked) == paid


async def test_agents_at_once_leave_one_figure_that_holds_all(runs: DurableRuns, desk: OrderDesk) -> None:
    async def body() -> list[str]:
        some = [refunder(runs, name=f"agent-{number}") for number in range(6)]
        return await asyncio.gather(*(run(each, Budget(day_steps=100), DeskDeps(desk)) for each in some))

    await runs.execute(body)
    assert len(await runs.store.keys("spending")) == 1
    assert (await known(runs)).steps == len(runs.asked) == 24


@pytest.mark.parametrize("budget", [None, Budget(run_steps=10)], ids=["none", "of the run"])
async def test_other_runs_see_it_whatever_the_budget_is(
    runs: DurableRuns, desk: OrderDesk, budget: Budget | None
) -> None:
    await runs.execute(lambda: run(refunder(runs), budget, DeskDeps(desk)))
    assert (await known(runs)).steps == 4


async def test_other_runs_see_what_an_agent_paid_that_failed(runs: DurableRuns) -> None:
    def look() -> str:
        raise Crash

    done = await runs.execute(lambda: run(held(runs, Plan(turns=(calls(("look", {})),), final="done"), look)))
    assert isinstance(done.error, Crash)
    assert (await known(runs)).steps == 1


async def test_what_a_crash_kept_from_being_saved_is_saved_by_the_next_execution(
    runs: DurableRuns, desk: OrderDesk
) -> None:
    async def body() -> Any:
        return await run(refunder(runs), Budget(day_steps=100), DeskDeps(desk))

    first = await runs.execute(body)
    await forget(runs)
    assert (await runs.execute(body, first.flow_run_id)).result == "done"
    assert (await known(runs)).steps == len(runs.asked) == 4


async def test_what_was_saved_counts_where_checkpoints_were_lost(runs: DurableRuns, desk: OrderDesk) -> None:
    async def body() -> Any:
        return await run(refunder(runs), Budget(run_steps=6), DeskDeps(desk))

    first = await runs.execute(body)
    for key in await runs.checkpoints(first.flow_run_id):
        await runs.store.remove(key)
    await runs.let_lost_steps_be_done_again(first.flow_run_id)
    again = await runs.execute(body, first.flow_run_id)
    assert isinstance(again.error, BudgetExceeded)
    assert len(runs.asked) == 6


async def test_a_step_costs_no_listing_where_the_budget_is_the_runs_alone(
    runs: DurableRuns, desk: OrderDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    keys = type(runs.store).keys

    async def counted(store: Any, prefix: str) -> list[str]:
        listed.append(prefix)
        return await keys(store, prefix)

    monkeypatch.setattr(type(runs.store), "keys", counted)
    await runs.execute(lambda: run(refunder(runs), Budget(run_steps=10), DeskDeps(desk)))
    assert [prefix.split("/")[0] for prefix in listed].count("spending") == 1


async def test_only_what_took_effect_is_called_changed(runs: DurableRuns) -> None:
    def fail() -> str:
        raise ToolFailed("no")

    tries: list[int] = []

    def retry() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ModelRetry("again")
        return "done"

    def ask(ctx: RunContext[None]) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        return "paid"

    async def body() -> tuple[str, ...]:
        plan = Plan(
            turns=(calls(("fail", {})), calls(("retry", {})), calls(("retry", {})), calls(("ask", {}))), final="end"
        )
        agent = durable_agent(runs.model(plan), fail, retry, ask, output_type=[str, DeferredToolRequests])
        result = await agent.run("Do it.")
        (call,) = result.output.approvals
        answers = DeferredToolResults(approvals={call.tool_call_id: True})
        await agent.run(message_history=result.all_messages(), deferred_tool_results=answers)
        execution = current_execution()
        assert execution is not None
        return execution.account.changed

    first = await runs.execute(body)
    assert [label.split(". ")[1] for label in first.result] == ["retry", "ask"]
    # And so says an execution that reads it.
    assert (await runs.execute(body, first.flow_run_id)).result == first.result
