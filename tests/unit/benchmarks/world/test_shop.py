"""The shop does calls on records of their own for each item, once a key, and fails where the plan says so."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import shop
from benchmarks.contract import Action, Fault
from tests.unit.benchmarks.world.playing import LOOK, REFUND, Playing, called, item, opening

COURSE = (LOOK, REFUND, LOOK)


def refunds(world: Playing, id: str) -> int:
    history = json.loads(world.call(id, LOOK))["payment_history"]
    return sum(entry["transaction_type"] == "refund" for entry in history)


def to_the_refund(world: Playing, *ids: str, faults: tuple[Fault, ...] = ()) -> None:
    """Play items whose model has called for the refund."""
    world.play([item(id, *COURSE) for id in ids], faults)
    for id in ids:
        world.ask(opening(id))
        world.ask([*opening(id), *called(LOOK, world.call(id, LOOK), "1")])


def test_items_have_records_of_their_own(world: Playing) -> None:
    to_the_refund(world, "a", "b")
    world.call("a", REFUND)
    assert (refunds(world, "a"), refunds(world, "b")) == (1, 0)


def test_a_call_is_done_once_for_a_key(world: Playing) -> None:
    to_the_refund(world, "a")
    first = world.call("a", REFUND, "one")
    assert world.call("a", REFUND, "one") == first
    assert refunds(world, "a") == 1
    assert [
        (line.event, line.attempt, line.key) for line in world.lines() if (line.kind, line.step) == ("call", 1)
    ] == [
        ("started", 1, "one"),
        ("applied", 1, "one"),
        ("finished", 1, "one"),
        ("started", 2, "one"),
        ("finished", 2, "one"),
    ]


@pytest.mark.parametrize("keys", [(None, None), ("one", "two")])
def test_a_call_without_that_key_is_done_again(world: Playing, keys: tuple[str | None, ...]) -> None:
    to_the_refund(world, "a")
    for key in keys:
        world.call("a", REFUND, key)
    assert refunds(world, "a") == 2
    assert world.events().count("applied") == 2


def test_calls_side_by_side_are_done_once_for_a_key(world: Playing) -> None:
    to_the_refund(world, "a")
    with ThreadPoolExecutor(8) as threads:
        results = set(threads.map(world.call, 8 * ["a"], 8 * [REFUND], 8 * ["one"]))
    assert len(results) == 1
    assert world.events().count("applied") == 1


def test_a_refusal_by_the_rules_is_a_result_and_no_effect(world: Playing) -> None:
    much = Action(name="refund", arguments={"order_id": "#T1009", "amount": 1e6})
    world.play([item("a", much)])
    world.ask(opening("a"))
    assert world.call("a", much, "one").startswith("Error: at most 935.00 USD")
    assert world.events("call") == ["started", "finished"]


def test_an_item_may_bring_its_records(world: Playing) -> None:
    order = {
        "order_id": "#X1",
        "user_id": "u",
        "address": {"zip": "1"},
        "items": [],
        "status": "delivered",
        "payment_history": [{"transaction_type": "payment", "amount": 5.0, "payment_method_id": "p"}],
    }
    user = {
        "name": {"first_name": "A", "last_name": "B"},
        "email": "a@example.com",
        "address": {"zip": "1"},
        "payment_methods": {"p": {"id": "p", "source": "paypal"}},
        "orders": ["#X1"],
    }
    look = Action(name="get_order_details", arguments={"order_id": "#X1"})
    records = {"users": {"u": user}, "orders": {"#X1": order}, "products": {}}
    world.play([item("a", look, records=records)])
    tool = {"type": "function", "function": {"name": look.name}}
    world.ask(opening("a"), tools=[tool])
    assert json.loads(world.call("a", look)) == order


@pytest.mark.parametrize(
    ("id", "action", "says"),
    [
        ("b", LOOK, "no records for b"),
        ("a", Action(name="nothing", arguments={}), "no tool 'nothing'"),
        ("a", Action(name="order_lookup", arguments={}), "order_id: Field required"),
        ("a", Action(name="order_lookup", arguments={"order_id": 3}), "valid string"),
        ("a", REFUND, "has not called for refund"),
    ],
)
def test_what_it_will_not_do_it_refuses(world: Playing, id: str, action: Action, says: str) -> None:
    world.play([item("a", *COURSE)])
    world.ask(opening("a"))
    with pytest.raises(shop.ShopRefused, match=says):
        world.call(id, action)
    assert world.events("call") == []


def test_a_key_stands_for_one_call(world: Playing) -> None:
    other = Action(name="refund", arguments={"order_id": "#T1009", "amount": 50}, changes=True)
    world.play([item("a", REFUND, other)])
    world.ask(opening("a"))
    result = world.call("a", REFUND, "one")
    world.ask([*opening("a"), *called(REFUND, result, "1")])
    with pytest.raises(shop.ShopRefused, match="stands for another call"):
        world.call("a", other, "one")
    assert world.events("call") == ["started", "applied", "finished", "started", "failed"]


def test_it_cannot_answer_as_often_as_the_plan_says(world: Playing) -> None:
    to_the_refund(world, "a", faults=(Fault(item="a", kind="call", step=1, what="error", times=2),))
    for _ in range(2):
        with pytest.raises(shop.ShopUnavailable):
            world.call("a", REFUND)
    world.call("a", REFUND)
    assert [line.event for line in world.lines() if (line.kind, line.step) == ("call", 1)] == [
        *(2 * ["started", "failed"]),
        "started",
        "applied",
        "finished",
    ]


@pytest.mark.parametrize(
    ("when", "events", "done"),
    [("received", ["started", "failed"], 0), ("done", ["started", "applied", "finished"], 1)],
)
def test_an_answer_that_never_comes(world: Playing, when: str, events: list[str], done: int) -> None:
    fault = Fault.model_validate({"item": "a", "kind": "call", "step": 1, "what": "timeout", "when": when})
    to_the_refund(world, "a", faults=(fault,))
    with pytest.raises(shop.ShopUnavailable):
        shop.call(f"{world.url}/shop/a", REFUND.name, REFUND.arguments, timeout_seconds=0.5)
    assert [line.event for line in world.lines() if (line.kind, line.step) == ("call", 1)] == events
    assert refunds(world, "a") == done


def test_a_late_call_is_done_though_its_caller_is_gone(world: Playing) -> None:
    to_the_refund(world, "a", faults=(Fault(item="a", kind="call", step=1, what="slow", seconds=1),))
    with pytest.raises(shop.ShopUnavailable):
        shop.call(f"{world.url}/shop/a", REFUND.name, REFUND.arguments, timeout_seconds=0.2)
    applied = world.wait_for("applied")
    assert applied.fault == "slow/received"
    started = next(line for line in world.lines() if (line.kind, line.step) == ("call", 1))
    assert applied.at - started.at >= 1


def test_every_call_takes_its_time(world: Playing) -> None:
    world.play([item("a", LOOK)], tool_seconds=0.3)
    world.ask(opening("a"))
    world.call("a", LOOK)
    started, finished = [line for line in world.lines() if line.kind == "call"]
    assert finished.at - started.at >= 0.3
