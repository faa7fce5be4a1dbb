"""What may be spent, by a run, a flow and a day; counted from checkpoints, through every execution."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai.models.test import TestModel

from tests.components.prefect_server import PrefectServer
from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.resume.six_step_run import goodwill
from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.limits import Limits, WithinLimits
from triptych.loop.models import Plan
from triptych.runtime.agents import run_durable
from triptych.runtime.budget import Budget, load_budget
from triptych.runtime.durability import Durability
from triptych.runtime.spending import Spent, record, spent_by_others
from triptych.settings import Settings

LIMITS = Limits(steps=50)
THREE_REFUNDS = Plan(
    turns=tuple(calls(("goodwill", {"order_id": f"#{name}", "amount": 5.0})) for name in "ABC"), final="done"
)
"""Four model requests."""
DAY = "2026-01-31"


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
    assert len(desk.effects()) == asked
    assert run.error.usage["steps"] == asked
    # What it had achieved.
    assert str(run.error).count("goodwill") == asked


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


async def test_of_several_names_of_one_run_the_highest_figures_count(runs: DurableRuns) -> None:
    await runs.store.write(f"spending/{DAY}/a/flow/1-100-0-0", b"{}")
    await runs.store.write(f"spending/{DAY}/a/flow/2-200-1500000-250", b"{}")
    await runs.store.write(f"spending/{DAY}/b/flow/10-50-0-0", b"{}")
    await runs.store.write("spending/2026-02-01/a/flow/99-0-0-0", b"{}")
    assert await spent_by_others(runs.store, DAY, "c") == {"flow": Spent(12, 250, 1.5, 0.25)}
    assert await spent_by_others(runs.store, DAY, "b") == {"flow": Spent(2, 200, 1.5, 0.25)}
    await record(runs.store, DAY, "a", "flow", Spent(3, 300, 2.0, 1.0))
    assert await runs.store.keys(f"spending/{DAY}/a") == [f"spending/{DAY}/a/flow/3-300-2000000-1000"]


async def test_dollars_need_a_list_price(runs: DurableRuns, desk: OrderDesk) -> None:
    run = await runs.execute(refunding(runs, desk, Budget(day_cost_usd=1.0), model=TestModel()))
    assert isinstance(run.error, ConfigurationError)
    assert "price" in str(run.error)


async def test_a_saved_budget_is_in_force_and_a_missing_one_is_none(prefect_server: PrefectServer) -> None:
    assert (await load_budget(Settings())).concerns_others is False
    with pytest.raises(ConfigurationError, match="budget/nobody-saved-it cannot be loaded"):
        await load_budget(Settings(budget_block="nobody-saved-it"))
    await Budget(day_cost_usd=7.0).save("mine")  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]
    assert (await load_budget(Settings(budget_block="mine"))).day_cost_usd == 7.0
