"""Each tool of the retail agent declares whether it changes anything, and does as it declares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.order_desks import ADDRESS, call_tool, deps_for, small_records, sqlite_url, stored
from triptych.loop.desk import OrderDesk
from triptych.loop.tools.execution import SIDE_EFFECTS
from triptych.loop.tools.orders import orders_toolset
from triptych.loop.tools.retail import retail_toolset

CALLS: dict[str, dict[str, Any]] = {
    "calculate": {"expression": "1 + 1"},
    "cancel_pending_order": {"order_id": "#1", "reason": "no longer needed"},
    "exchange_delivered_order_items": {
        "order_id": "#2",
        "item_ids": ["large"],
        "new_item_ids": ["small"],
        "payment_method_id": "card",
    },
    "find_user_id_by_email": {"email": "ada@example.com"},
    "find_user_id_by_name_zip": {"first_name": "Ada", "last_name": "Quill", "zip": "97301"},
    "get_order_details": {"order_id": "#1"},
    "get_product_details": {"product_id": "p1"},
    "get_user_details": {"user_id": "ada"},
    "list_all_product_types": {},
    "modify_pending_order_address": {"order_id": "#1", **ADDRESS},
    "modify_pending_order_items": {
        "order_id": "#1",
        "item_ids": ["small"],
        "new_item_ids": ["large"],
        "payment_method_id": "card",
    },
    "modify_pending_order_payment": {"order_id": "#1", "payment_method_id": "paypal"},
    "modify_user_address": {"user_id": "ada", **ADDRESS},
    "return_delivered_order_items": {"order_id": "#2", "item_ids": ["large"], "payment_method_id": "gift_card_1"},
    "think": {"thought": "hm"},
    "transfer_to_human_agents": {"summary": "help"},
    "order_lookup": {"order_id": "#1"},
    "refund": {"order_id": "#1", "amount": 1.5},
}
TOOLSETS = {"retail": retail_toolset(), "orders": orders_toolset()}
TOOLS = [(name, tool) for name, toolset in TOOLSETS.items() for tool in toolset.tools]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[OrderDesk]:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
        yield desk


@pytest.mark.parametrize(("toolset", "tool"), TOOLS)
async def test_a_tool_has_the_side_effects_that_it_declares(toolset: str, tool: str, desk: OrderDesk) -> None:
    metadata = TOOLSETS[toolset].tools[tool].metadata
    assert metadata is not None
    assert isinstance(metadata[SIDE_EFFECTS], bool), f"{tool} does not declare whether it has side effects"
    before = stored(desk)
    result = await call_tool(TOOLSETS[toolset], deps_for(desk), tool, CALLS[tool])
    assert not result.startswith("Error")
    assert [effect.tool for effect in desk.effects()] == ([tool] if metadata[SIDE_EFFECTS] else [])
    if not metadata[SIDE_EFFECTS]:
        assert stored(desk) == before


@pytest.mark.parametrize(("toolset", "tool"), TOOLS)
def test_a_tool_with_side_effects_runs_alone(toolset: str, tool: str) -> None:
    found = TOOLSETS[toolset].tools[tool]
    assert found.sequential == (found.metadata or {})[SIDE_EFFECTS]


@pytest.mark.parametrize(("toolset", "tool"), TOOLS)
def test_every_parameter_is_described(toolset: str, tool: str) -> None:
    found = TOOLSETS[toolset].tools[tool]
    assert found.description
    for name, schema in found.tool_def.parameters_json_schema["properties"].items():
        assert schema.get("description"), f"{tool}: {name}"


def test_toolsets_have_fixed_ids() -> None:
    assert {name: toolset.id for name, toolset in TOOLSETS.items()} == {"retail": "retail", "orders": "orders"}


async def test_thinking_is_answered_with_nothing(desk: OrderDesk) -> None:
    assert await call_tool(retail_toolset(), deps_for(desk), "think", {"thought": "hm"}) == ""
