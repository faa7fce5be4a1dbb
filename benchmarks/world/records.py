"""The shop's records for one item: the desk's own rules and look-ups, over records that are kept in memory.

The world is never killed, so nothing here has to last. In memory a call takes microseconds and needs no thread, so the
shop is not what an arm waits for, and two calls for one item are done one after the other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, cast

from triptych.loop.desk import Change, DeskRecord, OrderDesk, lookups, rules
from triptych.loop.desk.source import RecordSet, read_records
from triptych.loop.tools import arithmetic
from triptych.samples import SAMPLES


class Done(NamedTuple):
    """What became of a call."""

    result: str
    """What the model is told."""
    applied: bool
    """Whether this very call made an effect."""


@cache
def sample_records() -> RecordSet:
    """Return the records of items that bring none of their own. Nobody may change them."""
    return read_records(SAMPLES)


class ItemRecords:
    """Users, orders and products as one item sees them. Those that it started from stay as they are.

    It answers as `OrderDesk` does, as far as the rules and look-ups ask.
    """

    def __init__(self, start: RecordSet) -> None:
        """Begin with these records, which may be those of other items too."""
        self._users: dict[str, DeskRecord] = dict(start.users)
        self._orders: dict[str, DeskRecord] = dict(start.orders)
        self._products: Mapping[str, DeskRecord] = start.products

    def user(self, user_id: str) -> DeskRecord | None:
        """A copy of the user's record; None when there is no such user."""
        return copy.deepcopy(self._users.get(user_id))

    def order(self, order_id: str) -> DeskRecord | None:
        """A copy of the order's record; None when there is no such order."""
        return copy.deepcopy(self._orders.get(order_id))

    def product(self, product_id: str) -> DeskRecord | None:
        """A copy of the product's record; None when there is no such product."""
        return copy.deepcopy(self._products.get(product_id))

    def products(self) -> dict[str, DeskRecord]:
        """All products, by id."""
        return dict(self._products)

    def user_id_by_email(self, email: str) -> str | None:
        """The id of the first user with this email address, whatever its case; None when there is none."""
        wanted = email.lower()
        return next((each for each, user in sorted(self._users.items()) if user["email"].lower() == wanted), None)

    def user_id_by_name(self, first_name: str, last_name: str, zip_code: str) -> str | None:
        """The id of the first user of this name, whatever its case, at this zip code; None when there is none."""
        wanted = (first_name.lower(), last_name.lower(), zip_code)
        return next((each for each, user in sorted(self._users.items()) if _who(user) == wanted), None)

    def do(self, name: str, arguments: Mapping[str, Any]) -> Done:
        """Do a tool call, as often as it is asked for; see `Shop` for idempotency keys.

        Args:
            name: The tool's.
            arguments: As its schema has them.

        Raises:
            KeyError: there is no such tool.
        """
        if (rule := _CHANGING.get(name)) is None:
            return Done(_READING[name](cast(OrderDesk, self), **arguments), applied=False)
        change = rule(self, **arguments)
        self._users |= change.users
        self._orders |= change.orders
        return Done(change.result, applied=not change.refused)


def changes(name: str) -> bool:
    """Whether a tool is one that changes something."""
    return name in _CHANGING


def _who(user: DeskRecord) -> tuple[str, str, str]:
    name = user["name"]
    return name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"]


def _calculate(_desk: OrderDesk, *, expression: str) -> str:
    return arithmetic.calculate(expression)


def _think(_desk: OrderDesk, *, thought: str) -> str:
    del thought
    return ""


_CHANGING: dict[str, Callable[..., Change]] = {
    rule.__name__: rule
    for rule in (
        rules.cancel_pending_order,
        rules.exchange_delivered_order_items,
        rules.modify_pending_order_address,
        rules.modify_pending_order_items,
        rules.modify_pending_order_payment,
        rules.modify_user_address,
        rules.refund,
        rules.return_delivered_order_items,
        rules.transfer_to_human_agents,
    )
}
_READING: dict[str, Callable[..., str]] = {
    "calculate": _calculate,
    "find_user_id_by_email": lookups.find_user_id_by_email,
    "find_user_id_by_name_zip": lookups.find_user_id_by_name_zip,
    "get_order_details": lookups.get_order_details,
    "get_product_details": lookups.get_product_details,
    "get_user_details": lookups.get_user_details,
    "list_all_product_types": lookups.list_all_product_types,
    "order_lookup": lookups.get_order_details,
    "think": _think,
}
