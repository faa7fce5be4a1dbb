"""Which calls leave the loop for a person, and what holds once they were approved."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import ApprovalRequired, RunContext

from tests.order_desks import deps_for, small_records, sqlite_url, tool_context
from triptych.loop.approvals import Ask, Rule, above_threshold, always, asking, run_metadata
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.tools import payouts


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[DeskDeps]:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
        yield deps_for(desk, tmp_path / "witness.jsonl")


def pay(ctx: RunContext[DeskDeps], amount: float) -> str:
    return f"paid {amount}"


def call(deps: DeskDeps, rule: Rule, amount: float, **context: Any) -> str:
    given = {"metadata": run_metadata(500)} | context
    ctx = dataclasses.replace(tool_context(deps, "pay"), **given)
    tool: Any = asking(pay, rule)
    return tool(ctx, amount=amount)


async def pay_in_time(ctx: RunContext[DeskDeps], amount: float) -> str:
    return f"paid {amount}"


async def pay_by_schema(ctx: RunContext[DeskDeps], **arguments: Any) -> str:
    return f"paid {arguments['amount']}"


def paid(_ctx: RunContext[Any], arguments: Mapping[str, Any]) -> float | None:
    return arguments["amount"]


def nothing(_ctx: RunContext[Any], _arguments: Mapping[str, Any]) -> float | None:
    return None


def failing(_ctx: RunContext[Any], _arguments: Mapping[str, Any]) -> Ask | None:
    raise KeyError("amount")


@pytest.mark.parametrize(
    ("rule", "amount", "is_asked"),
    [
        (above_threshold(paid), 500.0, False),
        (above_threshold(paid), 500.01, True),
        (above_threshold(paid), math.nan, True),
        (above_threshold(nothing), 1e9, False),
        (always, 0.0, True),
        (failing, 0.0, True),
    ],
)
def test_who_is_asked(deps: DeskDeps, rule: Rule, amount: float, is_asked: bool) -> None:
    if not is_asked:
        assert call(deps, rule, amount) == f"paid {amount}"
        return
    with pytest.raises(ApprovalRequired):
        call(deps, rule, amount)


def test_a_run_without_a_threshold_asks_about_every_payout(deps: DeskDeps) -> None:
    with pytest.raises(ApprovalRequired):
        call(deps, above_threshold(paid), 0.01, metadata=None)


@pytest.mark.parametrize("function", [pay_in_time, pay_by_schema])
async def test_an_asynchronous_tool_is_awaited_and_its_arguments_named(deps: DeskDeps, function: Any) -> None:
    tool: Any = asking(function, above_threshold(paid))
    assert inspect.iscoroutinefunction(tool)  # or pydantic-ai would run it in a thread and keep the coroutine
    ctx = dataclasses.replace(tool_context(deps, "pay"), metadata=run_metadata(500))
    assert await tool(ctx, amount=500.0) == "paid 500.0"
    with pytest.raises(ApprovalRequired) as caught:
        await tool(ctx, amount=600.0)
    assert Ask.model_validate(caught.value.metadata).amount_usd == 600.0


@pytest.mark.parametrize(("approved", "runs"), [(600.0, True), (599.0, False), (None, False)])
def test_an_approval_counts_for_the_amount_that_was_approved(
    deps: DeskDeps, approved: float | None, runs: bool
) -> None:
    context = {"tool_call_approved": True, "tool_call_metadata": {"amount_usd": approved}}
    if runs:
        assert call(deps, above_threshold(paid), 600.0, **context) == "paid 600.0"
        return
    with pytest.raises(ApprovalRequired) as caught:
        call(deps, above_threshold(paid), 600.0, **context)
    assert Ask.model_validate(caught.value.metadata).amount_usd == 600.0


def test_what_a_call_would_pay_out(deps: DeskDeps) -> None:
    ctx = tool_context(deps, "any")
    pending, delivered = deps.desk.orders()["#1"], deps.desk.orders()["#2"]
    everything = sum(each["amount"] for each in pending["payment_history"])
    because = {"reason": "no longer needed"}
    assert payouts.of_cancelling(ctx, {"order_id": "#1"} | because) == pytest.approx(everything)
    ids = [item["item_id"] for item in delivered["items"]]
    total = sum(item["price"] for item in delivered["items"])
    method = delivered["payment_history"][0]["payment_method_id"]
    back = {"item_ids": ids, "payment_method_id": method}
    assert payouts.of_returning(ctx, {"order_id": "#2"} | back) == pytest.approx(total)
    assert payouts.of_refund(ctx, {"order_id": "#1", "amount": 3}) == 3.0
    # What the desk refuses anyway, nobody is asked about.
    assert payouts.of_cancelling(ctx, {"order_id": "#2"} | because) is None
    assert payouts.of_cancelling(ctx, {"order_id": "#nothing"} | because) is None
    assert payouts.of_returning(ctx, {"order_id": "#1"} | back) is None
    assert payouts.of_returning(ctx, {"order_id": "#2"} | back | {"payment_method_id": "a stranger's"}) is None
    assert payouts.of_refund(ctx, {"order_id": "#1", "amount": 1e9}) is None
    assert deps.desk.effects() == []
    assert deps.desk.orders()["#1"] == pending
