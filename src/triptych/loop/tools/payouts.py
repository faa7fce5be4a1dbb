"""What a call would pay back, in USD: what the rules about approval go by.

The desk's own rule is asked, and nothing is written. None stands for a call that it refuses, whoever approves it:
nobody needs to be asked about that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai import RunContext

from triptych.loop.deps import DeskDeps
from triptych.loop.desk import rules


def of_refund(ctx: RunContext[DeskDeps], arguments: Mapping[str, Any]) -> float | None:
    """The amount that `refund` is asked to give back."""
    return None if rules.refund(ctx.deps.desk, **arguments).refused else float(arguments["amount"])


def of_cancelling(ctx: RunContext[DeskDeps], arguments: Mapping[str, Any]) -> float | None:
    """All that is given back for an order that is still pending."""
    before = ctx.deps.desk.order(arguments["order_id"])
    change = rules.cancel_pending_order(ctx.deps.desk, **arguments)
    if change.refused or before is None:
        return None
    added = change.orders[arguments["order_id"]]["payment_history"][len(before["payment_history"]) :]
    return round(sum(refund["amount"] for refund in added), 2)


def of_returning(ctx: RunContext[DeskDeps], arguments: Mapping[str, Any]) -> float | None:
    """The price of the items that go back, each as often as it is named."""
    change = rules.return_delivered_order_items(ctx.deps.desk, **arguments)
    if change.refused:
        return None
    order = change.orders[arguments["order_id"]]
    prices = {item["item_id"]: item["price"] for item in order["items"]}
    return round(sum(prices[item_id] for item_id in order["return_items"]), 2)
