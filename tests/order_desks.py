"""What tests of the order desk share: small records, desks to change, and a way to call a tool without a model."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic_ai import FunctionToolset, RunContext
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from triptych.loop.approvals import run_metadata
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import Witness

NOBODY_IS_ASKED = run_metadata(math.inf)
"""Metadata of agent runs whose calls need no approval."""

Collections = dict[str, dict[str, dict[str, Any]]]

ADDRESS = {
    "address1": "1 Mill Lane",
    "address2": "",
    "city": "Salem",
    "state": "OR",
    "country": "USA",
    "zip": "97301",
}


def small_records() -> Collections:
    """One customer with a card and a gift card, one pending and one delivered order, one product of three variants."""

    def item(item_id: str, price: float) -> dict[str, Any]:
        return {"name": "Mug", "product_id": "p1", "item_id": item_id, "price": price, "options": {"size": item_id}}

    def order(order_id: str, status: str, method: str, *items: dict[str, Any]) -> dict[str, Any]:
        paid = round(sum(each["price"] for each in items), 2)
        return {
            "order_id": order_id,
            "user_id": "ada",
            "address": ADDRESS,
            "items": list(items),
            "fulfillments": [],
            "status": status,
            "payment_history": [{"transaction_type": "payment", "amount": paid, "payment_method_id": method}],
        }

    variants = {"small": 8.1, "large": 12.2, "huge": 30.0}
    records: Collections = {
        "users": {
            "ada": {
                "name": {"first_name": "Ada", "last_name": "Quill"},
                "address": ADDRESS,
                "email": "Ada@Example.com",
                "payment_methods": {
                    "card": {"source": "credit_card", "brand": "visa", "last_four": "0001", "id": "card"},
                    "gift_card_1": {"source": "gift_card", "balance": 10, "id": "gift_card_1"},
                    "paypal": {"source": "paypal", "id": "paypal"},
                },
                "orders": ["#1", "#2"],
            }
        },
        "orders": {
            "#1": order("#1", "pending", "card", item("small", 8.1), item("large", 12.2)),
            "#2": order("#2", "delivered", "gift_card_1", item("large", 12.2), item("large", 12.2)),
        },
        "products": {
            "p1": {
                "name": "Mug",
                "product_id": "p1",
                "variants": {
                    each: {"item_id": each, "options": {"size": each}, "available": True, "price": price}
                    for each, price in variants.items()
                },
            }
        },
    }
    records["products"]["p1"]["variants"]["gone"] = {"item_id": "gone", "options": {}, "available": False, "price": 1.0}
    return deepcopy(records)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def stored(desk: OrderDesk) -> Collections:
    """All records of a desk, to be compared."""
    return {"users": desk.users(), "orders": desk.orders(), "products": desk.products()}


def differences(before: Collections, after: Collections) -> Collections:
    """The records of `after` that are not as they were, whole; collections without any are left out."""
    changed = {
        name: {each: record for each, record in after[name].items() if before[name].get(each) != record}
        for name in after
    }
    return {name: records for name, records in changed.items() if records}


class DeskTemplate:
    """A loaded desk, to be copied: loading takes a second, copying a millisecond."""

    def __init__(self, records: Path, folder: Path) -> None:
        self._file = folder / "template.sqlite"
        with OrderDesk(sqlite_url(self._file)) as desk:
            desk.load(records)
            self.records = stored(desk)

    def copy_to(self, folder: Path) -> str:
        """Copy it; gives the copy's URL."""
        target = folder / "desk.sqlite"
        shutil.copyfile(self._file, target)
        return sqlite_url(target)


def tool_context(
    deps: DeskDeps, tool: str, *, call: str | None = "call-1", conversation: str | None = "run"
) -> RunContext[DeskDeps]:
    """What a tool receives when a model calls it."""
    return RunContext(
        deps=deps,
        model=TestModel(),
        usage=RunUsage(),
        tool_name=tool,
        tool_call_id=call,
        conversation_id=conversation,
        metadata=NOBODY_IS_ASKED,
    )


async def call_tool(
    toolset: FunctionToolset[DeskDeps],
    deps: DeskDeps,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    call: str = "call-1",
    conversation: str = "run",
) -> Any:
    """Call a tool as pydantic-ai does: arguments as JSON, validated, then the tool's body."""
    ctx = tool_context(deps, tool, call=call, conversation=conversation)
    found = (await toolset.get_tools(ctx))[tool]
    validated = found.args_validator.validate_json(json.dumps(arguments))
    return await toolset.call_tool(tool, validated, ctx, found)


def deps_for(desk: OrderDesk, witness: Path | None = None) -> DeskDeps:
    """Deps over a desk."""
    return DeskDeps(desk=desk, witness=None if witness is None else Witness(witness))


def tool_results(messages: Sequence[ModelMessage]) -> list[tuple[str, str]]:
    """What the tools answered, in order, without the answer to the output tool; all of them must have succeeded."""
    requests = [message for message in messages if isinstance(message, ModelRequest)]
    parts = [part for message in requests for part in message.parts if isinstance(part, ToolReturnPart)]
    assert {part.outcome for part in parts} <= {"success"}
    return [(part.tool_name, str(part.content)) for part in parts if part.tool_name != "final_result"]
