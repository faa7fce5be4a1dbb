"""Refusals and arithmetic of the rules that the benchmark's tasks do not all reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.order_desks import ADDRESS, Collections, small_records
from triptych.loop.desk import Change, rules


class Shelf:
    """Records in memory."""

    def __init__(self, records: Collections) -> None:
        self.records = records

    def user(self, user_id: str) -> dict[str, Any] | None:
        return self.records["users"].get(user_id)

    def order(self, order_id: str) -> dict[str, Any] | None:
        return self.records["orders"].get(order_id)

    def product(self, product_id: str) -> dict[str, Any] | None:
        return self.records["products"].get(product_id)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(small_records())


SWAP = {"order_id": "#1", "item_ids": ["small"], "new_item_ids": ["large"], "payment_method_id": "card"}
RETURN = {"order_id": "#2", "item_ids": ["large"], "payment_method_id": "gift_card_1"}


@pytest.mark.parametrize(
    ("rule", "arguments", "reason"),
    [
        (rules.cancel_pending_order, {"order_id": "1", "reason": "no longer needed"}, "order not found"),
        (
            rules.cancel_pending_order,
            {"order_id": "#2", "reason": "no longer needed"},
            "non-pending order cannot be cancelled",
        ),
        (rules.cancel_pending_order, {"order_id": "#1", "reason": "too dear"}, "invalid reason"),
        (rules.modify_pending_order_items, SWAP | {"order_id": "#9"}, "order not found"),
        (rules.modify_pending_order_items, SWAP | {"order_id": "#2"}, "non-pending order cannot be modified"),
        (rules.modify_pending_order_items, SWAP | {"item_ids": ["huge"]}, "huge not found"),
        (rules.modify_pending_order_items, SWAP | {"item_ids": ["small", "small"]}, "small not found"),
        (
            rules.modify_pending_order_items,
            SWAP | {"new_item_ids": []},
            "the number of items to be exchanged should match",
        ),
        (
            rules.modify_pending_order_items,
            SWAP | {"new_item_ids": ["gone"]},
            "new item gone not found or available",
        ),
        (
            rules.modify_pending_order_items,
            SWAP | {"new_item_ids": ["other"]},
            "new item other not found or available",
        ),
        (rules.modify_pending_order_items, SWAP | {"payment_method_id": "cash"}, "payment method not found"),
        (
            rules.modify_pending_order_items,
            SWAP | {"new_item_ids": ["huge"], "payment_method_id": "gift_card_1"},
            "insufficient gift card balance to pay for the new item",
        ),
        (rules.exchange_delivered_order_items, SWAP, "non-delivered order cannot be exchanged"),
        (rules.exchange_delivered_order_items, SWAP | {"order_id": "#9"}, "order not found"),
        (
            rules.exchange_delivered_order_items,
            SWAP | {"order_id": "#2", "item_ids": ["large"], "payment_method_id": "cash"},
            "payment method not found",
        ),
        (
            rules.exchange_delivered_order_items,
            SWAP
            | {
                "order_id": "#2",
                "item_ids": ["large"],
                "new_item_ids": ["huge"],
                "payment_method_id": "gift_card_1",
            },
            "insufficient gift card balance to pay for the price difference",
        ),
        (rules.modify_pending_order_address, {"order_id": "#9", **ADDRESS}, "order not found"),
        (rules.modify_pending_order_address, {"order_id": "#2", **ADDRESS}, "non-pending order cannot be modified"),
        (rules.modify_pending_order_payment, {"order_id": "#9", "payment_method_id": "card"}, "order not found"),
        (
            rules.modify_pending_order_payment,
            {"order_id": "#2", "payment_method_id": "card"},
            "non-pending order cannot be modified",
        ),
        (
            rules.modify_pending_order_payment,
            {"order_id": "#1", "payment_method_id": "cash"},
            "payment method not found",
        ),
        (
            rules.modify_pending_order_payment,
            {"order_id": "#1", "payment_method_id": "card"},
            "the new payment method should be different from the current one",
        ),
        (
            rules.modify_pending_order_payment,
            {"order_id": "#1", "payment_method_id": "gift_card_1"},
            "insufficient gift card balance to pay for the order",
        ),
        (rules.modify_user_address, {"user_id": "bob", **ADDRESS}, "user not found"),
        (rules.return_delivered_order_items, RETURN | {"order_id": "#9"}, "order not found"),
        (rules.return_delivered_order_items, RETURN | {"order_id": "#1"}, "non-delivered order cannot be returned"),
        (rules.return_delivered_order_items, RETURN | {"payment_method_id": "cash"}, "payment method not found"),
        (
            rules.return_delivered_order_items,
            RETURN | {"payment_method_id": "paypal"},
            "payment method should be either the original payment method or a gift card",
        ),
        (rules.return_delivered_order_items, RETURN | {"item_ids": ["large"] * 3}, "some item not found"),
    ],
)
def test_refusals(shelf: Shelf, rule: Callable[..., Change], arguments: dict[str, Any], reason: str) -> None:
    assert rule(shelf, **arguments) == Change(result=f"Error: {reason}")


def test_the_payment_of_an_order_changes_once(shelf: Shelf) -> None:
    change = {"order_id": "#1", "payment_method_id": "paypal"}
    assert not rules.modify_pending_order_payment(shelf, **change).refused
    again = rules.modify_pending_order_payment(shelf, order_id="#1", payment_method_id="card")
    assert again.result == "Error: there should be exactly one payment for a pending order"


def test_a_payment_moves_between_a_gift_card_and_another_method(shelf: Shelf) -> None:
    card = shelf.records["users"]["ada"]["payment_methods"]["gift_card_1"]
    card["balance"] = 50.0
    done = rules.modify_pending_order_payment(shelf, order_id="#1", payment_method_id="gift_card_1")
    assert done.users["ada"]["payment_methods"]["gift_card_1"]["balance"] == 29.7
    assert [tuple(entry.values()) for entry in done.orders["#1"]["payment_history"]] == [
        ("payment", 20.3, "card"),
        ("payment", 20.3, "gift_card_1"),
        ("refund", 20.3, "card"),
    ]


def test_a_cancelled_order_goes_back_to_the_gift_card_that_paid(shelf: Shelf) -> None:
    shelf.records["orders"]["#2"]["status"] = "pending"
    done = rules.cancel_pending_order(shelf, order_id="#2", reason="ordered by mistake")
    assert done.users["ada"]["payment_methods"]["gift_card_1"]["balance"] == 34.4
    assert json.loads(done.result) == done.orders["#2"]


def test_equal_items_are_changed_one_by_one(shelf: Shelf) -> None:
    shelf.records["orders"]["#2"]["status"] = "pending"
    done = rules.modify_pending_order_items(
        shelf, order_id="#2", item_ids=["large"] * 2, new_item_ids=["small", "huge"], payment_method_id="card"
    )
    assert [item["item_id"] for item in done.orders["#2"]["items"]] == ["small", "huge"]
    assert done.orders["#2"]["status"] == "pending (item modified)"
    # The benchmark does not round this one.
    assert done.orders["#2"]["payment_history"][-1]["amount"] == (8.1 - 12.2) + (30.0 - 12.2)


def test_requests_note_their_items_sorted(shelf: Shelf) -> None:
    order = shelf.records["orders"]["#2"]
    order["items"][0]["item_id"] = "small"
    returned = rules.return_delivered_order_items(
        Shelf(deepcopy(shelf.records)), order_id="#2", item_ids=["small", "large"], payment_method_id="gift_card_1"
    )
    assert returned.orders["#2"]["return_items"] == ["large", "small"]
    exchanged = rules.exchange_delivered_order_items(
        shelf,
        order_id="#2",
        item_ids=["small", "large"],
        new_item_ids=["large", "huge"],
        payment_method_id="card",
    )
    assert exchanged.orders["#2"]["exchange_items"] == ["large", "small"]
    assert exchanged.orders["#2"]["exchange_new_items"] == ["huge", "large"]
    # Both cost 12.20 before; 12.20 and 30.00 after. Noted, not paid.
    assert exchanged.orders["#2"]["exchange_price_difference"] == 17.8
    assert len(exchanged.orders["#2"]["payment_history"]) == 1
    assert exchanged.users == {}


# The refund of the small agent


@pytest.mark.parametrize(
    ("order_id", "amount", "reason"),
    [
        ("#9", 1.0, "there is no order '#9'; order ids begin with '#'"),
        ("#1", 0.0, "0.0 is not an amount above 0 in dollars and whole cents"),
        ("#1", -1.0, "-1.0 is not an amount above 0"),
        ("#1", 1.005, "1.005 is not an amount above 0"),
        ("#1", float("nan"), "nan is not an amount above 0"),
        ("#1", float("inf"), "inf is not an amount above 0"),
        ("#1", 20.31, "at most 20.30 USD of order #1 can be refunded, not 20.31"),
    ],
)
def test_refunds_that_are_refused(shelf: Shelf, order_id: str, amount: float, reason: str) -> None:
    done = rules.refund(shelf, order_id=order_id, amount=amount)
    assert done.refused
    assert reason in done.result


def test_a_refund_is_an_entry_and_reaches_a_gift_card_at_once(shelf: Shelf) -> None:
    done = rules.refund(shelf, order_id="#2", amount=4.4)
    assert done.orders["#2"]["payment_history"][-1] == {
        "transaction_type": "refund",
        "amount": 4.4,
        "payment_method_id": "gift_card_1",
    }
    assert done.users["ada"]["payment_methods"]["gift_card_1"]["balance"] == 14.4
    assert rules.refund(shelf, order_id="#1", amount=20.3).users == {}


def test_a_refund_is_shared_out_among_the_methods_that_paid(shelf: Shelf) -> None:
    history = shelf.records["orders"]["#1"]["payment_history"]
    history.append({"transaction_type": "payment", "amount": 5.0, "payment_method_id": "paypal"})
    done = rules.refund(shelf, order_id="#1", amount=22.0)
    refunds = [tuple(entry.values())[1:] for entry in done.orders["#1"]["payment_history"][2:]]
    assert refunds == [(20.3, "card"), (1.7, "paypal")]


def test_what_went_back_elsewhere_is_not_given_back_again(shelf: Shelf) -> None:
    history = shelf.records["orders"]["#1"]["payment_history"]
    history.append({"transaction_type": "refund", "amount": 4.1, "payment_method_id": "gift_card_1"})
    assert rules.refundable_cents(shelf.records["orders"]["#1"]) == {"card": 1620}


@given(amounts=st.lists(st.integers(1, 3000), max_size=8))
def test_refunds_never_exceed_what_was_paid(amounts: list[int]) -> None:
    shelf = Shelf(small_records())
    refunded = 0
    for cents in amounts:
        done = rules.refund(shelf, order_id="#1", amount=cents / 100)
        assert done.refused == (refunded + cents > 2030)
        refunded += 0 if done.refused else cents
    entries = shelf.records["orders"]["#1"]["payment_history"][1:]
    assert round(sum(entry["amount"] for entry in entries) * 100) == refunded <= 2030
