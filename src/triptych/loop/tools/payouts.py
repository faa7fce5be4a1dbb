"""What a call would pay back, in USD: what the rules about approval go by.

None stands for a call that the desk will refuse, whoever approves it: nobody needs to be asked about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai import RunContext

from triptych.loop.deps import DeskDeps


def of_refund(ctx: RunContext[DeskDeps], arguments: Mapping[str, Any]) -> float:
    """The amount that `refund` is asked to give back."""
    del ctx
    return float(arguments["amount"])


def of_cancelling(ctx: RunContext[DeskDeps], arguments: Mapping[str, Any]) -> float | None:
    """All that was paid for an order that is still pending."""
    order = ctx.deps.desk.order(arguments["order_id"])
    if order is None or order["status"] != "pending":
        return None
    return round(sum(paid["amount"] for paid in order["payment_history"]), 2)


def of_returning(ctx: RunContext[DeskDeps], arguments: Mapping[str, Any]) -> float | None:
    """The price of the items that go back, each as often as it is named."""
    order = ctx.deps.desk.order(arguments["order_id"])
    if order is None or order["status"] != "delivered":
        return None
    prices = {item["item_id"]: item["price"] for item in order["items"]}
    return round(sum(prices.get(item_id, 0.0) for item_id in arguments["item_ids"]), 2)
