"""Refunds so large that a person is asked, who takes hours: what is held meanwhile, and what outlives a restart."""

from __future__ import annotations

import random

from benchmarks.contract import APPROVAL_ABOVE_USD, Action, Item
from benchmarks.workloads.tickets import order, ticket

NAME = "approvals"
DENIED_EVERY = 4
"""Of so many items a person denies one."""
WAIT_HOURS = (1.0, 12.0)
"""How long a person takes, at least and at most."""
_PAID_USD = 1_000_000.0


def items(seed: int, count: int) -> tuple[Item, ...]:
    """Return so many items: each looks an order up, asks for a refund, and looks again.

    Args:
        seed: Of the amounts and of how long people take.
        count: How many.
    """
    chance = random.Random(f"{seed} {NAME}")
    return tuple(_item(number, chance) for number in range(count))


def _item(number: int, chance: random.Random) -> Item:
    id, order_id = f"approval-{number}", f"#A{number:04d}"
    amount = round(chance.uniform(1.2, 1.8) * APPROVAL_ABOVE_USD, 2)
    wait_hours = round(chance.uniform(*WAIT_HOURS), 2)
    is_approved = number % DENIED_EVERY != DENIED_EVERY - 1
    look = Action(name="order_lookup", arguments={"order_id": order_id})
    refund = Action(
        name="refund",
        arguments={"order_id": order_id, "amount": amount},
        changes=is_approved,
        approval="approve" if is_approved else "deny",
    )
    return Item(
        id=id,
        workload=NAME,
        instruction=f"{ticket(id)}My order {order_id} never arrived. Please pay {amount:.2f} USD back.",
        actions=(look, refund, look),
        answer=f"{amount:.2f} USD of order {order_id} {'are' if is_approved else 'could not be'} paid back.",
        records=order(order_id, _PAID_USD),
        wait_hours=wait_hours,
    )
