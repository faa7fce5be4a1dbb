"""Our own sample tickets play through, and leave exactly the effects that were worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.order_desks import NOBODY_IS_ASKED, DeskTemplate, deps_for, differences, stored, tool_results
from triptych.loop.agents import retail
from triptych.loop.desk import OrderDesk
from triptych.loop.models import ScriptedModel, plan_for_ticket, plan_for_triage
from triptych.loop.prompts import ticket_prompt
from triptych.loop.triage import LIMITS, build_triage_agent
from triptych.records import Resolution, Ticket
from triptych.samples import SAMPLES
from triptych.samples import TICKETS as TICKETS_FILE

TICKETS = {
    ticket.id: ticket
    for line in TICKETS_FILE.read_text(encoding="utf-8").splitlines()
    for ticket in [Ticket.model_validate_json(line)]
}


@dataclass(frozen=True)
class Expected:
    """What a ticket leaves behind: tools with effects, and in each changed record the fields that are not as before."""

    effects: tuple[str, ...] = ()
    changes: dict[str, dict[str, Any]] | None = None
    category: str = "question"
    outcome: str = "resolved"
    errors: int = 0


def paid(amount: float, method: str) -> dict[str, Any]:
    return {"transaction_type": "payment", "amount": amount, "payment_method_id": method}


def refunded(amount: float, method: str) -> dict[str, Any]:
    return paid(amount, method) | {"transaction_type": "refund"}


MONTPELIER = {
    "address1": "221 Orchard Street",
    "address2": "",
    "city": "Montpelier",
    "state": "VT",
    "country": "USA",
    "zip": "05602",
}

EXPECTED = {
    "cancel-order": Expected(
        effects=("cancel_pending_order",),
        category="cancel",
        changes={
            "#T1001": {
                "status": "cancelled",
                "cancel_reason": "no longer needed",
                # 42.50 + 36.40
                "payment_history": [paid(78.9, "credit_card_1101001"), refunded(78.9, "credit_card_1101001")],
            }
        },
    ),
    "return-kettle": Expected(
        effects=("return_delivered_order_items",),
        category="return",
        errors=1,
        changes={
            "#T1003": {
                "status": "return requested",
                "return_items": ["8100000032"],
                "return_payment_method_id": "paypal_1102001",
            }
        },
    ),
    "exchange-hammock": Expected(
        effects=("exchange_delivered_order_items",),
        category="exchange",
        changes={
            "#T1005": {
                "status": "exchange requested",
                "exchange_items": ["8100000022", "8100000053"],
                "exchange_new_items": ["8100000023", "8100000052"],
                "exchange_payment_method_id": "gift_card_1103002",
                # The hammocks cost the same; 64.20 - 66.80
                "exchange_price_difference": -2.6,
            }
        },
    ),
    "new-address": Expected(
        effects=("modify_pending_order_address", "modify_user_address", "modify_pending_order_items"),
        category="modify",
        changes={
            "#T1007": {
                "status": "pending (item modified)",
                "address": MONTPELIER,
                "items": [
                    {
                        "name": "Hammock",
                        "product_id": "7100000002",
                        "item_id": "8100000022",
                        "price": 119.0,
                        "options": {"color": "green", "size": "double"},
                    },
                    {
                        "name": "Rain Cape",
                        "product_id": "7100000005",
                        "item_id": "8100000052",
                        "price": 64.2,
                        "options": {"color": "navy", "size": "L"},
                    },
                ],
                # 119.00 - 89.00
                "payment_history": [paid(153.2, "gift_card_1104001"), paid(30.0, "paypal_1104002")],
            },
            "ivo_lindqvist_1104": {"address": MONTPELIER},
        },
    ),
    "two-orders": Expected(),
    "opening-hours": Expected(),
    "damaged-parcel": Expected(effects=("transfer_to_human_agents",), category="other", outcome="transferred"),
    "big-refund": Expected(
        effects=("cancel_pending_order",),
        category="cancel",
        changes={
            "#T1009": {
                "status": "cancelled",
                "cancel_reason": "ordered by mistake",
                "payment_history": [paid(935.0, "credit_card_1105001"), refunded(935.0, "credit_card_1105001")],
            }
        },
    ),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> DeskTemplate:
    return DeskTemplate(SAMPLES, tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(template: DeskTemplate, tmp_path: Path) -> Iterator[OrderDesk]:
    with OrderDesk(template.copy_to(tmp_path)) as desk:
        yield desk


def test_every_sample_has_its_expectation() -> None:
    assert list(TICKETS) == list(EXPECTED)


def test_one_sample_alone_refunds_more_than_500_dollars() -> None:
    amounts = {
        name: [
            entry["amount"]
            for record in (expected.changes or {}).values()
            for entry in record.get("payment_history", [])
            if entry["transaction_type"] == "refund"
        ]
        for name, expected in EXPECTED.items()
    }
    assert [name for name, each in amounts.items() if any(amount > 500 for amount in each)] == ["big-refund"]


@pytest.mark.parametrize("name", TICKETS)
async def test_a_sample_plays_through(name: str, desk: OrderDesk, template: DeskTemplate) -> None:
    ticket, expected = TICKETS[name], EXPECTED[name]
    agent = retail.build_agent(ScriptedModel(plan_for_ticket(ticket)))
    answer = await agent.run(
        ticket_prompt(ticket),
        deps=deps_for(desk),
        usage_limits=retail.LIMITS.usage_limits(),
        conversation_id=name,
        metadata=NOBODY_IS_ASKED,
    )
    results = tool_results(answer.all_messages())
    assert [tool for tool, _ in results] == [call.name for call in ticket.actions or ()]
    assert sum(result.startswith("Error:") for _, result in results) == expected.errors
    assert [effect.tool for effect in desk.effects()] == list(expected.effects)

    before = template.records["users"] | template.records["orders"]
    changed = {
        record_id: {field: value for field, value in record.items() if before[record_id].get(field) != value}
        for records in differences(template.records, stored(desk)).values()
        for record_id, record in records.items()
    }
    assert changed == (expected.changes or {})

    assert isinstance(answer.output, Resolution)
    if ticket.actions:
        assert answer.output.outcome == expected.outcome
    for output in ticket.outputs:
        assert output in answer.output.answer
        # What the answer says was found: in a result, or, with no agent needed, in the general reply's prompt.
        assert not ticket.actions or any(output in result for _, result in results)


@pytest.mark.parametrize("name", TICKETS)
async def test_a_sample_is_triaged(name: str) -> None:
    ticket, expected = TICKETS[name], EXPECTED[name]
    agent = build_triage_agent(ScriptedModel(plan_for_triage(ticket)))
    answer = await agent.run(ticket_prompt(ticket), usage_limits=LIMITS.usage_limits())
    assert answer.output.category == expected.category
    assert answer.output.needs_agent == (name != "opening-hours")
    if name == "opening-hours":
        assert all(output in answer.output.answer for output in ticket.outputs)


async def test_all_samples_in_one_shop_add_up(desk: OrderDesk) -> None:
    for name, ticket in TICKETS.items():
        agent = retail.build_agent(ScriptedModel(plan_for_ticket(ticket)))
        await agent.run(ticket_prompt(ticket), deps=deps_for(desk), conversation_id=name, metadata=NOBODY_IS_ASKED)
    effects = {name: [each.tool for each in desk.effects(key_prefix=f"{name}:")] for name in TICKETS}
    assert effects == {name: list(expected.effects) for name, expected in EXPECTED.items()}
    assert len(desk.effects()) == 8


def test_samples_are_our_own() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in SAMPLES.glob("*.json*"))
    assert "#W" not in text
    users = json.loads((SAMPLES / "users.json").read_text())
    assert (len(users), len(TICKETS)) == (6, 8)
    assert all(user["email"].endswith("@example.com") for user in users.values())
