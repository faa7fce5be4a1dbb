"""The tickets that are in flight, made from a seed; each has an order of its own on the desk."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from triptych.records import PlannedCall, Ticket
from triptych.samples import SAMPLES

AGENT = "orders"
REFUND = "refund"
_LOOK = "order_lookup"
_PATTERN = "#T1009"
"""The sample order that the others are copies of."""
_PAID = 1_000_000.0
"""So much that a refund which is done twice is not refused, but seen."""
_KINDS = ("look", "small", "big", "both")
_APPROVED_SHARE = 0.6


class Payout(NamedTuple):
    """A refund that a ticket asks for."""

    amount: float
    needs_person: bool


class Case(NamedTuple):
    """One ticket, and what it is about to do."""

    ticket: Ticket
    order_id: str
    payouts: tuple[Payout, ...]

    @property
    def requests(self) -> int:
        """Model requests of an undisturbed run: the triage, each action, and the answer."""
        return len(self.ticket.actions or ()) + 2


def cases(seed: int, count: int) -> list[Case]:
    """Return so many tickets: some only look, some refund little, some much, some both."""
    chance = random.Random(f"{seed} tickets")
    return [_case(number, _KINDS[number % len(_KINDS)], chance) for number in range(count)]


def _case(number: int, kind: str, chance: random.Random) -> Case:
    order_id = f"#C{number:04d}"
    payouts: list[Payout] = []
    if kind in ("small", "both"):
        payouts.append(Payout(round(chance.uniform(5, 400), 2), needs_person=False))
    if kind in ("big", "both"):
        payouts.append(Payout(round(chance.uniform(600, 900), 2), needs_person=True))
    look = PlannedCall(name=_LOOK, arguments={"order_id": order_id})
    refunds = [PlannedCall(name=REFUND, arguments={"order_id": order_id, "amount": each.amount}) for each in payouts]
    ticket = Ticket(
        id=f"chaos-{number:04d}-{kind}",
        instruction=f"My order {order_id} arrived broken.",
        # The agent may take five steps, its answer included.
        actions=(look, *refunds, look)[:4],
    )
    return Case(ticket, order_id, tuple(payouts))


def records(of: Sequence[Case]) -> dict[str, Any]:
    """Return what the order desk has to hold for these tickets."""
    found = {
        name: json.loads((SAMPLES / f"{name}.json").read_text("utf-8")) for name in ("users", "orders", "products")
    }
    for case in of:
        order = json.loads(json.dumps(found["orders"][_PATTERN])) | {"order_id": case.order_id}
        order["payment_history"][0]["amount"] = _PAID
        found["orders"][case.order_id] = order
    return found


def approves(seed: int, order_id: str) -> bool:
    """Whether the person approves what is asked about an order; the same however often they are asked."""
    return random.Random(f"{seed} {order_id}").random() < _APPROVED_SHARE
