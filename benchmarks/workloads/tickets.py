"""Makes items out of calls: plays them on the shop's records, so that an item says which of them have an effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.contract import Action
from benchmarks.world.records import ItemRecords
from benchmarks.world.tools import checked
from triptych.loop.desk.source import RecordSet


def ticket(id: str) -> str:
    """Return what an item's instruction begins with: by it the model's provider knows the item."""
    return f"Ticket {id}: "


def actions(start: RecordSet, calls: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Action, ...]:
    """Return calls as actions, each with whether it has an effect: one that the shop refuses has none.

    Args:
        start: The records that the calls begin with.
        calls: Names and arguments, in order.

    Raises:
        BadCall: a tool does not take its arguments.
    """
    records = ItemRecords(start)
    return tuple(
        Action(name=name, arguments=dict(given), changes=records.do(name, checked(name, given)).applied)
        for name, given in calls
    )


def order(id: str, paid: float) -> dict[str, Any]:
    """Return the records of an item that is about one order: its customer, and no more.

    Args:
        id: The order's.
        paid: So much was paid for it, in USD. Far more than what is refunded, so that a refund which is made twice is
            done twice, and not refused.
    """
    user, method = f"customer_{id.lstrip('#').lower()}", f"credit_card_{id.lstrip('#').lower()}"
    address = {
        "address1": "3 Ferry Lane",
        "address2": "",
        "city": "Astoria",
        "state": "OR",
        "country": "USA",
        "zip": "97103",
    }
    kettle = {
        "name": "Field Kettle",
        "product_id": "7100000003",
        "item_id": "8100000031",
        "price": paid,
        "options": {"capacity": "1 liter", "material": "steel"},
    }
    card = {"source": "credit_card", "brand": "visa", "last_four": "6652", "id": method}
    return {
        "users": {
            user: {
                "name": {"first_name": "Robin", "last_name": "Falk"},
                "address": address,
                "email": f"{user}@example.com",
                "payment_methods": {method: card},
                "orders": [id],
            }
        },
        "orders": {
            id: {
                "order_id": id,
                "user_id": user,
                "address": address,
                "items": [kettle],
                "fulfillments": [],
                "status": "delivered",
                "payment_history": [
                    {"transaction_type": "payment", "amount": paid, "payment_method_id": method},
                ],
            }
        },
        "products": {},
    }
