"""Retail tickets: our own sample set, mixed with refunds; or the public tau-bench tasks, from a path.

Most of the samples' changes are guarded by the order's status: done twice, they are refused the second time. Refunds
are not, so that a call which is made twice without a key really pays twice.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.contract import APPROVAL_ABOVE_USD, Item
from benchmarks.workloads.tickets import actions, order, ticket
from benchmarks.world.records import ItemRecords, sample_records
from benchmarks.world.tools import checked
from triptych.errors import ConfigurationError
from triptych.loop.desk import DeskRecord
from triptych.loop.desk.source import COLLECTIONS, RecordSet, read_records
from triptych.loop.models.plans import plan_for_ticket
from triptych.records import PlannedCall, Ticket
from triptych.samples import TICKETS

NAME = "retail"
FEWEST_ACTIONS = 2
"""Samples with less say nothing about an agent that has steps to lose."""
_PAID_USD = 1_000_000.0
_TICKETS = TypeAdapter(list[Ticket])


def items(seed: int, count: int) -> tuple[Item, ...]:
    """Return so many tickets: every other one of the samples, the others refunds, of which every other pays twice.

    Args:
        seed: Of the samples' order and the refunds' amounts.
        count: How many.
    """
    chance = random.Random(f"{seed} {NAME}")
    samples = list(_samples())
    chance.shuffle(samples)
    refunds = (_refund(number, chance) for number in itertools.count())
    mixed = itertools.chain.from_iterable(zip(refunds, _cycled(samples), strict=False))
    return tuple(itertools.islice(mixed, count))


def drawn(of: tuple[Item, ...], seed: int, count: int) -> tuple[Item, ...]:
    """Return so many items of a given set, in an order that the seed says, again from the first once all were there."""
    shuffled = list(of)
    random.Random(f"{seed} {NAME}").shuffle(shuffled)
    return tuple(itertools.islice(_cycled(shuffled), count))


def from_tau(path: Path) -> tuple[Item, ...]:
    """Return the tasks of the public tau-bench retail format, each with the records that it touches.

    Args:
        path: A file of tasks, or a folder with files `tasks*.json`, all of which are taken; `users.json`, `orders.json`
            and `products.json` lie beside them.

    Raises:
        ConfigurationError: a file is missing or of another form.
    """
    files = [path] if path.is_file() else sorted(path.glob("tasks*.json"))
    if not files:
        raise ConfigurationError(f"{path} is no file of tasks, and has none: name a folder with tasks*.json")
    everything = read_records(files[0].parent)
    # Two files may well have a task 000 each.
    return tuple(
        _from_task(task, f"tau{file.stem.removeprefix('tasks')}-{task.id}", everything)
        for file in files
        for task in _tasks(file)
    )


@cache
def _samples() -> tuple[Item, ...]:
    tickets = [Ticket.model_validate_json(line) for line in TICKETS.read_text(encoding="utf-8").splitlines()]
    return tuple(
        _from_ticket(each, each.id, sample_records()) for each in tickets if len(each.actions or ()) >= FEWEST_ACTIONS
    )


def _from_ticket(of: Ticket, id: str, start: RecordSet, own: dict[str, Any] | None = None) -> Item:
    return Item(
        id=id,
        workload=NAME,
        instruction=f"{ticket(id)}{of.instruction}",
        actions=actions(start, ((call.name, call.arguments) for call in of.actions or ())),
        answer=str(_final(of)["answer"]),
        records=own,
    )


def _final(of: Ticket) -> Mapping[str, Any]:
    final = plan_for_ticket(of).final
    if isinstance(final, str):
        raise TypeError("a ticket's plan ends with a resolution")
    return final


def _refund(number: int, chance: random.Random) -> Item:
    """Return a ticket that looks an order up, refunds once or twice what needs no person, and looks again."""
    id, order_id = f"refund-{number}", f"#B{number:04d}"
    amounts = [round(chance.uniform(5, 0.9 * APPROVAL_ABOVE_USD), 2) for _ in range(1 + number % 2)]
    look = ("order_lookup", {"order_id": order_id})
    pay = [("refund", {"order_id": order_id, "amount": amount}) for amount in amounts]
    own = order(order_id, _PAID_USD)
    wanted = " and ".join(f"{amount:.2f} USD" for amount in amounts)
    return Item(
        id=id,
        workload=NAME,
        instruction=f"{ticket(id)}My order {order_id} arrived damaged. I was promised {wanted} back, please pay that.",
        actions=actions(read_records(own), [look, *pay, look]),
        answer=f"Your request has been taken care of: {wanted} of order {order_id}.",
        records=own,
    )


def _cycled(of: list[Item]) -> Iterator[Item]:
    """Return items again and again, under an id of its own each time."""
    for round in itertools.count():
        for item in of:
            yield item if round == 0 else _again(item, f"{item.id}-{round}")


def _again(item: Item, id: str) -> Item:
    words = item.instruction.removeprefix(ticket(item.id))
    return item.model_copy(update={"id": id, "instruction": f"{ticket(id)}{words}"})


def _tasks(file: Path) -> list[Ticket]:
    try:
        return _TICKETS.validate_json(file.read_bytes())
    except (OSError, ValidationError) as reason:
        raise ConfigurationError(f"{file} holds no retail tasks: {reason}") from reason


def _from_task(task: Ticket, name: str, everything: RecordSet) -> Item:
    own = _touched(task.actions or (), everything)
    start = read_records(own)
    was, now = _results(task, everything), _results(task, start)
    if was != now:
        raise ConfigurationError(f"task {task.id}: its calls are told something else on the records that they touch")
    return _from_ticket(task, re.sub(r"[^a-z0-9-]", "-", name.lower()), start, own)


def _results(task: Ticket, start: RecordSet) -> list[str]:
    records = ItemRecords(start)
    return [records.do(call.name, checked(call.name, call.arguments)).result for call in task.actions or ()]


def _touched(calls: tuple[PlannedCall, ...], everything: RecordSet) -> dict[str, Any]:
    """Return the records that these calls look at: an item with all of the shop's would be a megabyte long."""
    noted = _Noting(everything)
    for call in calls:
        noted.do(call.name, checked(call.name, call.arguments))
    users = noted.seen["users"] | {everything.orders[each]["user_id"] for each in noted.seen["orders"]}
    ids: dict[str, set[str]] = {**noted.seen, "users": users}
    return {
        name: {each: record for each, record in getattr(everything, name).items() if each in ids[name]}
        for name in COLLECTIONS
    }


class _Noting(ItemRecords):
    """Records that note which of them are asked for."""

    def __init__(self, start: RecordSet) -> None:
        super().__init__(start)
        self.seen: dict[str, set[str]] = {name: set() for name in COLLECTIONS}

    def user(self, user_id: str) -> DeskRecord | None:
        return self._note("users", user_id, super().user(user_id))

    def order(self, order_id: str) -> DeskRecord | None:
        return self._note("orders", order_id, super().order(order_id))

    def product(self, product_id: str) -> DeskRecord | None:
        return self._note("products", product_id, super().product(product_id))

    def products(self) -> dict[str, DeskRecord]:
        found = super().products()
        self.seen["products"].update(found)
        return found

    def user_id_by_email(self, email: str) -> str | None:
        return self._note_user(super().user_id_by_email(email))

    def user_id_by_name(self, first_name: str, last_name: str, zip_code: str) -> str | None:
        return self._note_user(super().user_id_by_name(first_name, last_name, zip_code))

    def _note(self, name: str, id: str, found: DeskRecord | None) -> DeskRecord | None:
        if found is not None:
            self.seen[name].add(id)
        return found

    def _note_user(self, found: str | None) -> str | None:
        if found is not None:
            self.seen["users"].add(found)
        return found
