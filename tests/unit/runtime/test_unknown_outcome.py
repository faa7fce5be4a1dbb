"""A tool whose backend honours no key: begun once, and where that was interrupted, said so instead of done again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter
from pydantic_ai import Tool

from tests.durable_runs import DurableRuns, calls, durable_agent, tool_returns
from triptych.loop.models import Plan
from triptych.loop.tools.execution import HONOURS_KEY


class Crash(Exception):
    """What ends an execution amid the call."""


def letters(sent: list[str], dying: list[str], **metadata: Any) -> Tool[Any]:
    """A tool that sends a letter; there is no unsending, and no key."""

    def send(to: str) -> str:
        if "before" in dying:
            raise Crash
        sent.append(to)
        if "after" in dying:
            raise Crash
        return "sent"

    return Tool(send, metadata=metadata)


async def twice(runs: DurableRuns, tool: Tool[Any], dying: list[str]) -> tuple[Any, list[tuple[str, Any]]]:
    told: list[tuple[str, Any]] = []

    async def body() -> str:
        plan = Plan(turns=(calls(("send", {"to": "Ada"})),), final="Done.")
        result = await durable_agent(runs.model(plan), tool).run("Write to Ada.")
        told[:] = tool_returns(result.all_messages())
        return result.output

    first = await runs.execute(body)
    assert isinstance(first.error, Crash)
    dying.clear()
    return await runs.execute(body, first.flow_run_id), told


@pytest.mark.parametrize(("dies", "letters_sent"), [("after", ["Ada"]), ("before", [])])
async def test_an_interrupted_call_is_not_made_again_and_the_model_is_told(
    runs: DurableRuns, dies: str, letters_sent: list[str]
) -> None:
    sent, dying = list[str](), [dies]
    run, told = await twice(runs, letters(sent, dying, **{HONOURS_KEY: False}), dying)
    assert run.result == "Done."
    assert sent == letters_sent
    ((_, said),) = told
    assert said.startswith("Unknown outcome")
    # And the operator.
    wanted = EventFilter(
        event=EventNameFilter(name=["triptych.tool.outcome-unknown"]),
        related=EventRelatedFilter(id=[f"prefect.flow-run.{run.flow_run_id}"]),
    )
    async with get_client() as client:
        while not (await client.read_events(wanted, limit=1)).events:
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("metadata", [{}, {HONOURS_KEY: True}])
async def test_without_that_word_the_call_is_made_again(runs: DurableRuns, metadata: dict[str, Any]) -> None:
    """What makes the one letter above something else than two."""
    sent, dying = list[str](), ["after"]
    run, told = await twice(runs, letters(sent, dying, **metadata), dying)
    assert run.result == "Done."
    assert sent == ["Ada", "Ada"]
    assert [said for _, said in told] == ["sent"]
