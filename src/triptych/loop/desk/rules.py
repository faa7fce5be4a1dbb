"""The rules by which orders and users change. Pure: each reads records and answers with a `Change`.

Wording, field names and arithmetic are those of the public tau-bench retail tools, which the recorded results judge:
differences of item prices are not rounded, gift card balances are, and a changed order is `pending (item modified)`.
Amounts are in USD.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from triptych.loop.desk.changes import Change, DeskRecord, Records

_ORDER_NOT_FOUND = "order not found"
_METHOD_NOT_FOUND = "payment method not found"
_CANCEL_REASONS = ("no longer needed", "ordered by mistake")


def cancel_pending_order(records: Records, *, order_id: str, reason: str) -> Change:
    """Cancel an order and refund all of it: to a gift card at once, elsewhere as an entry in the history."""
    order = records.order(order_id)
    if order is None:
        return Change.refusal(_ORDER_NOT_FOUND)
    if order["status"] != "pending":
        return Change.refusal("non-pending order cannot be cancelled")
    if reason not in _CANCEL_REASONS:
        return Change.refusal("invalid reason")
    user = _user_of(records, order)
    refunds = [_entry("refund", paid["amount"], paid["payment_method_id"]) for paid in order["payment_history"]]
    touched = [_add_to_gift_card(user, refund["payment_method_id"], refund["amount"]) for refund in refunds]
    order["status"] = "cancelled"
    order["cancel_reason"] = reason
    order["payment_history"].extend(refunds)
    return _changed(order, user if any(touched) else None)


def exchange_delivered_order_items(
    records: Records,
    *,
    order_id: str,
    item_ids: Sequence[str],
    new_item_ids: Sequence[str],
    payment_method_id: str,
) -> Change:
    """Ask for other variants in place of delivered items. Nothing is paid yet: the difference is noted."""
    order = records.order(order_id)
    if order is None:
        return Change.refusal(_ORDER_NOT_FOUND)
    if order["status"] != "delivered":
        return Change.refusal("non-delivered order cannot be exchanged")
    swap = _price_swap(records, order, item_ids, new_item_ids)
    if isinstance(swap, str):
        return Change.refusal(swap)
    difference, _ = swap
    difference = round(difference, 2)
    method = _user_of(records, order)["payment_methods"].get(payment_method_id)
    if method is None:
        return Change.refusal(_METHOD_NOT_FOUND)
    if _falls_short(method, difference):
        return Change.refusal("insufficient gift card balance to pay for the price difference")
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(item_ids)
    order["exchange_new_items"] = sorted(new_item_ids)
    order["exchange_payment_method_id"] = payment_method_id
    order["exchange_price_difference"] = difference
    return _changed(order)


def modify_pending_order_address(records: Records, *, order_id: str, **address: str) -> Change:
    """Send an order elsewhere."""
    order = records.order(order_id)
    if order is None:
        return Change.refusal(_ORDER_NOT_FOUND)
    if order["status"] != "pending":
        return Change.refusal("non-pending order cannot be modified")
    order["address"] = address
    return _changed(order)


def modify_pending_order_items(
    records: Records,
    *,
    order_id: str,
    item_ids: Sequence[str],
    new_item_ids: Sequence[str],
    payment_method_id: str,
) -> Change:
    """Put other variants in place of ordered items, and settle the difference at once. Possible once per order."""
    order = records.order(order_id)
    if order is None:
        return Change.refusal(_ORDER_NOT_FOUND)
    if order["status"] != "pending":
        return Change.refusal("non-pending order cannot be modified")
    swap = _price_swap(records, order, item_ids, new_item_ids)
    if isinstance(swap, str):
        return Change.refusal(swap)
    difference, variants = swap
    user = _user_of(records, order)
    method = user["payment_methods"].get(payment_method_id)
    if method is None:
        return Change.refusal(_METHOD_NOT_FOUND)
    if _falls_short(method, difference):
        return Change.refusal("insufficient gift card balance to pay for the new item")
    kind = "payment" if difference > 0 else "refund"
    order["payment_history"].append(_entry(kind, abs(difference), payment_method_id))
    settled = method["source"] == "gift_card" and _add_to_gift_card(user, payment_method_id, -difference)
    for item_id, variant in zip(item_ids, variants, strict=True):
        item = _item(order, item_id)
        item["item_id"] = variant["item_id"]
        item["price"] = variant["price"]
        item["options"] = variant["options"]
    order["status"] = "pending (item modified)"
    return _changed(order, user if settled else None)


def modify_pending_order_payment(records: Records, *, order_id: str, payment_method_id: str) -> Change:
    """Pay an order another way: the new method pays all of it, the old one gets all of it back."""
    order = records.order(order_id)
    if order is None:
        return Change.refusal(_ORDER_NOT_FOUND)
    if order["status"] != "pending":
        return Change.refusal("non-pending order cannot be modified")
    user = _user_of(records, order)
    method = user["payment_methods"].get(payment_method_id)
    if method is None:
        return Change.refusal(_METHOD_NOT_FOUND)
    history = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        return Change.refusal("there should be exactly one payment for a pending order")
    amount, old_method_id = history[0]["amount"], history[0]["payment_method_id"]
    if old_method_id == payment_method_id:
        return Change.refusal("the new payment method should be different from the current one")
    if _falls_short(method, amount):
        return Change.refusal("insufficient gift card balance to pay for the order")
    history.append(_entry("payment", amount, payment_method_id))
    history.append(_entry("refund", amount, old_method_id))
    charged = _add_to_gift_card(user, payment_method_id, -amount)
    refunded = _add_to_gift_card(user, old_method_id, amount)
    return _changed(order, user if charged or refunded else None)


def modify_user_address(records: Records, *, user_id: str, **address: str) -> Change:
    """Change where a user's future orders go by default."""
    user = records.user(user_id)
    if user is None:
        return Change.refusal("user not found")
    user["address"] = address
    return Change(result=json.dumps(user), users={user_id: user})


def return_delivered_order_items(
    records: Records, *, order_id: str, item_ids: Sequence[str], payment_method_id: str
) -> Change:
    """Ask to return items. Refunded when they arrive, to the method that paid or to a gift card."""
    order = records.order(order_id)
    if order is None:
        return Change.refusal(_ORDER_NOT_FOUND)
    if order["status"] != "delivered":
        return Change.refusal("non-delivered order cannot be returned")
    if payment_method_id not in _user_of(records, order)["payment_methods"]:
        return Change.refusal(_METHOD_NOT_FOUND)
    original = order["payment_history"][0]["payment_method_id"]
    if "gift_card" not in payment_method_id and payment_method_id != original:
        return Change.refusal("payment method should be either the original payment method or a gift card")
    if _first_missing(order, item_ids) is not None:
        return Change.refusal("some item not found")
    order["status"] = "return requested"
    order["return_items"] = sorted(item_ids)
    order["return_payment_method_id"] = payment_method_id
    return _changed(order)


def transfer_to_human_agents(records: Records, *, summary: str) -> Change:
    """Hand over to a person. No record changes; the effect itself, with its summary, is what was done."""
    del records, summary
    return Change(result="Transfer successful")


def refund(records: Records, *, order_id: str, amount: float) -> Change:
    """Give back part of what was paid for an order, to the methods that paid it, the first payment first.

    Args:
        records: Where the order is.
        order_id: The order.
        amount: In USD, in whole cents, above 0.
    """
    order = records.order(order_id)
    if order is None:
        return Change.refusal(f"there is no order {order_id!r}; order ids begin with '#'")
    wanted = round(amount * 100) if math.isfinite(amount) else 0
    if wanted <= 0 or abs(amount * 100 - wanted) > 1e-6:
        return Change.refusal(f"{amount!r} is not an amount above 0 in dollars and whole cents")
    paid_cents = refundable_cents(order)
    left = sum(paid_cents.values())
    if wanted > left:
        return Change.refusal(f"at most {left / 100:.2f} USD of order {order_id} can be refunded, not {amount:.2f}")
    user = _user_of(records, order)
    touched: list[bool] = []
    for method_id, cents in paid_cents.items():
        part = min(cents, wanted)
        if part > 0:
            order["payment_history"].append(_entry("refund", part / 100, method_id))
            touched.append(_add_to_gift_card(user, method_id, part / 100))
            wanted -= part
    return _changed(order, user if any(touched) else None)


def refundable_cents(order: DeskRecord) -> dict[str, int]:
    """What each payment method paid for an order and has not got back, in cents; methods with nothing left are out.

    Args:
        order: The order's record.
    """
    cents: dict[str, int] = {}
    for entry in order["payment_history"]:
        sign = 1 if entry["transaction_type"] == "payment" else -1
        method_id = entry["payment_method_id"]
        cents[method_id] = cents.get(method_id, 0) + sign * round(entry["amount"] * 100)
    # A method may have got back more than it paid (a price difference refunded elsewhere): that lessens the rest.
    overpaid = sum(-each for each in cents.values() if each < 0)
    left: dict[str, int] = {}
    for method_id, each in cents.items():
        taken = min(max(each, 0), overpaid)
        overpaid -= taken
        if each - taken > 0:
            left[method_id] = each - taken
    return left


def _user_of(records: Records, order: DeskRecord) -> DeskRecord:
    user = records.user(order["user_id"])
    if user is None:
        raise ValueError(f"order {order['order_id']} belongs to {order['user_id']!r}, who is not on record")
    return user


def _changed(order: DeskRecord, user: DeskRecord | None = None) -> Change:
    users = {} if user is None else {order["user_id"]: user}
    return Change(result=json.dumps(order), orders={order["order_id"]: order}, users=users)


def _entry(transaction_type: str, amount: float, payment_method_id: str) -> dict[str, Any]:
    return {"transaction_type": transaction_type, "amount": amount, "payment_method_id": payment_method_id}


def _add_to_gift_card(user: DeskRecord, payment_method_id: str, amount: float) -> bool:
    """Whether the method is a gift card; then its balance has been changed."""
    method = user["payment_methods"][payment_method_id]
    if method["source"] != "gift_card":
        return False
    method["balance"] = round(method["balance"] + amount, 2)
    return True


def _falls_short(method: dict[str, Any], amount: float) -> bool:
    return method["source"] == "gift_card" and method["balance"] < amount


def _item(order: DeskRecord, item_id: str) -> dict[str, Any]:
    return next(item for item in order["items"] if item["item_id"] == item_id)


def _first_missing(order: DeskRecord, item_ids: Sequence[str]) -> str | None:
    """The first id that is asked for more often than the order holds it."""
    held = [item["item_id"] for item in order["items"]]
    return next((each for each in item_ids if item_ids.count(each) > held.count(each)), None)


def _price_swap(
    records: Records, order: DeskRecord, item_ids: Sequence[str], new_item_ids: Sequence[str]
) -> tuple[float, list[dict[str, Any]]] | str:
    """What the new items cost more than the old ones, and their variants; or why there can be no swap."""
    missing = _first_missing(order, item_ids)
    if missing is not None:
        return f"{missing} not found"
    if len(item_ids) != len(new_item_ids):
        return "the number of items to be exchanged should match"
    difference = 0.0
    variants: list[dict[str, Any]] = []
    for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
        item = _item(order, item_id)
        product = records.product(item["product_id"])
        variant = None if product is None else product["variants"].get(new_item_id)
        if variant is None or not variant["available"]:
            return f"new item {new_item_id} not found or available"
        difference += variant["price"] - item["price"]
        variants.append(variant)
    return difference, variants
