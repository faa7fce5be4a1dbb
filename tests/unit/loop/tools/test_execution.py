"""What a tool's body leaves behind: lines in the witness, and one effect per call however often it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_ai import ModelRetry

from tests.order_desks import call_tool, deps_for, small_records, sqlite_url, tool_context
from triptych.errors import ConfigurationError, EffectConflict
from triptych.loop import witness
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.tools.execution import look_up
from triptych.loop.tools.orders import orders_toolset
from triptych.loop.tools.retail import retail_toolset

CANCEL = {"order_id": "#1", "reason": "no longer needed"}


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[DeskDeps]:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
        yield deps_for(desk, tmp_path / "witness.jsonl")


def lines(deps: DeskDeps) -> list[tuple[str, str, str, str]]:
    assert deps.witness is not None
    return [(line.event, line.run, line.name, line.key) for line in witness.read(deps.witness.path)]


async def test_a_lookup_leaves_two_lines(deps: DeskDeps) -> None:
    await call_tool(retail_toolset(), deps, "get_order_details", {"order_id": "#1"}, call="c", conversation="r")
    assert lines(deps) == [
        ("tool.started", "r", "get_order_details", "c"),
        ("tool.finished", "r", "get_order_details", "c"),
    ]


async def test_an_effect_leaves_one_more_line_and_only_the_first_time(deps: DeskDeps) -> None:
    first = await call_tool(retail_toolset(), deps, "cancel_pending_order", CANCEL)
    again = await call_tool(retail_toolset(), deps, "cancel_pending_order", CANCEL)
    assert first == again
    assert [event for event, *_ in lines(deps)] == [
        "tool.started",
        "effect.applied",
        "tool.finished",
        "tool.started",
        "tool.finished",
    ]
    assert [effect.key for effect in deps.desk.effects()] == ["run:call-1"]
    assert deps.desk.effects()[0].arguments == CANCEL


async def test_a_refusal_leaves_no_effect(deps: DeskDeps) -> None:
    result = await call_tool(retail_toolset(), deps, "cancel_pending_order", CANCEL | {"order_id": "#2"})
    assert result == "Error: non-pending order cannot be cancelled"
    assert [event for event, *_ in lines(deps)] == ["tool.started", "tool.finished"]


async def test_the_small_agents_refund_is_made_once(deps: DeskDeps) -> None:
    arguments = {"order_id": "#1", "amount": 20.3}
    first = await call_tool(orders_toolset(), deps, "refund", arguments)
    assert await call_tool(orders_toolset(), deps, "refund", arguments) == first
    assert len(deps.desk.orders()["#1"]["payment_history"]) == 2
    # The same call in another conversation is another refund, and there is nothing left.
    with pytest.raises(ModelRetry, match=r"at most 0\.00 USD of order #1 can be refunded, not 20\.30"):
        await call_tool(orders_toolset(), deps, "refund", arguments, conversation="run-2")
    assert len(deps.desk.effects()) == 1


async def test_what_the_small_agent_cannot_do_goes_back_to_the_model(deps: DeskDeps) -> None:
    with pytest.raises(ModelRetry, match="order not found"):
        await call_tool(orders_toolset(), deps, "order_lookup", {"order_id": "#9"})
    with pytest.raises(ModelRetry, match="there is no order '#9'"):
        await call_tool(orders_toolset(), deps, "refund", {"order_id": "#9", "amount": 1})
    # The body has answered, so the tool has finished.
    assert [event for event, *_ in lines(deps)] == ["tool.started", "tool.finished"] * 2


async def test_a_key_that_two_calls_share_stops_the_second(deps: DeskDeps) -> None:
    await call_tool(orders_toolset(), deps, "refund", {"order_id": "#1", "amount": 1})
    with pytest.raises(EffectConflict):
        await call_tool(orders_toolset(), deps, "refund", {"order_id": "#1", "amount": 2})
    assert [event for event, *_ in lines(deps)][-1] == "tool.started"


@pytest.mark.parametrize(("call", "conversation"), [(None, "run"), ("call-1", None), ("", "run"), ("call-1", "")])
async def test_no_effect_without_a_key(deps: DeskDeps, call: str | None, conversation: str | None) -> None:
    ctx = tool_context(deps, "cancel_pending_order", call=call, conversation=conversation)
    toolset = retail_toolset()
    tool = (await toolset.get_tools(ctx))["cancel_pending_order"]
    with pytest.raises(ConfigurationError, match="no idempotency key for the tool 'cancel_pending_order'"):
        await toolset.call_tool("cancel_pending_order", dict(CANCEL), ctx, tool)
    assert deps.desk.effects() == []
    assert deps.desk.orders()["#1"]["status"] == "pending"


def test_an_interrupted_body_has_not_finished(deps: DeskDeps) -> None:
    def fails(_desk: OrderDesk) -> str:
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError):
        look_up(tool_context(deps, "t"), fails)
    assert [event for event, *_ in lines(deps)] == ["tool.started"]


async def test_without_a_witness_nothing_is_written(deps: DeskDeps, tmp_path: Path) -> None:
    await call_tool(retail_toolset(), deps_for(deps.desk), "cancel_pending_order", CANCEL)
    assert not (tmp_path / "witness.jsonl").exists()
