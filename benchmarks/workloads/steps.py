"""Runs that differ in their length alone, and short ones for the number that are done in a second."""

from __future__ import annotations

import random

from benchmarks.contract import Action, Item
from benchmarks.workloads.tickets import actions, order, ticket
from triptych.loop.desk.source import read_records

_ORDER = "#S0001"
_PAID_USD = 1_000_000.0


def chain(length: int, number: int = 0) -> Item:
    """Return an item of so many look-ups and an answer.

    Args:
        length: Tool calls.
        number: Tells it from others of its length.
    """
    id = f"chain-{length}-{number}"
    return Item(
        id=id,
        workload=f"steps-{length}",
        instruction=f"{ticket(id)}Keep an eye on my order {_ORDER}.",
        actions=tuple(Action(name="order_lookup", arguments={"order_id": _ORDER}) for _ in range(length)),
        answer=f"Order {_ORDER} has not changed.",
        records=order(_ORDER, _PAID_USD),
    )


def chains(length: int, seed: int, count: int) -> tuple[Item, ...]:
    """Return so many chains of one length. Nothing in them is drawn: the seed is that of every workload."""
    del seed
    return tuple(chain(length, number) for number in range(count))


def short(seed: int, count: int) -> tuple[Item, ...]:
    """Return so many runs of a look-up, a small refund and an answer.

    Args:
        seed: Of the amounts.
        count: How many.
    """
    chance = random.Random(f"{seed} throughput")
    return tuple(_short(number, round(chance.uniform(5, 50), 2)) for number in range(count))


def _short(number: int, amount: float) -> Item:
    id, own = f"short-{number}", order(_ORDER, _PAID_USD)
    look = ("order_lookup", {"order_id": _ORDER})
    refund = ("refund", {"order_id": _ORDER, "amount": amount})
    return Item(
        id=id,
        workload="throughput",
        instruction=f"{ticket(id)}A part of order {_ORDER} is missing. Please pay {amount:.2f} USD back.",
        actions=actions(read_records(own), [look, refund]),
        answer=f"{amount:.2f} USD of order {_ORDER} are paid back.",
        records=own,
    )
