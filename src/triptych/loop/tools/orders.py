"""The two tools of the smallest agent. What cannot be done goes back to the model as a `ModelRetry`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_ai import FunctionToolset, ModelRetry, RunContext

from triptych.loop.approvals import above_threshold
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk, lookups, rules
from triptych.loop.desk.changes import is_error, reason_of
from triptych.loop.tools import payouts
from triptych.loop.tools.execution import changing_tool, look_up, reading_tool, take_effect

OrderId = Annotated[str, Field(description="The order id, such as '#W0000000'. It begins with '#'.")]
AmountUsd = Annotated[float, Field(gt=0, description="How much to give back, in US dollars, such as 12.50.")]


def order_lookup(ctx: RunContext[DeskDeps], order_id: OrderId) -> str:
    """Tell an order's record, as JSON.

    Raises:
        ModelRetry: There is no such order. The model sees it.
    """

    def found(desk: OrderDesk, *, order_id: str) -> str:
        return _answer(lookups.get_order_details(desk, order_id=order_id))

    return look_up(ctx, found, order_id=order_id)


def refund(ctx: RunContext[DeskDeps], order_id: OrderId, amount: AmountUsd) -> str:
    """Give back part or all of what was paid, once; tells the order's new record, as JSON.

    Raises:
        ModelRetry: There is no such order, the amount is not in whole cents, or it is more than what was paid and
            not yet given back. Nothing was done. The model sees it.
    """
    return _answer(take_effect(ctx, rules.refund, order_id=order_id, amount=amount))


def orders_toolset() -> FunctionToolset[DeskDeps]:
    """A new toolset of both tools, under the id `orders`."""
    return FunctionToolset(
        [
            reading_tool(order_lookup, description="Look up an order: its items, status and payments."),
            changing_tool(
                refund,
                description="Refund part or all of what was paid for an order, to the methods that paid it.",
                approval=above_threshold(payouts.of_refund),
            ),
        ],
        max_retries=2,
        id="orders",
    )


def _answer(result: str) -> str:
    if is_error(result):
        raise ModelRetry(reason_of(result))
    return result
