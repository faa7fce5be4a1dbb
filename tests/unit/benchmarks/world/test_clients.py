"""The libraries that arms are written with take the world for OpenAI: streams, tool calls, usage."""

from __future__ import annotations

import json
from typing import Any

import httpx
from openai import AsyncOpenAI
from pydantic_ai import Agent, Tool
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks import shop
from benchmarks.contract import MODEL
from tests.components import require
from tests.unit.benchmarks.world.playing import LOOK, REFUND, Playing, item, opening

COURSE = (LOOK, REFUND, LOOK)


def check(world: Playing, answer: str, tokens: int | None = None) -> None:
    lines = world.lines()
    assert answer == "It is done."
    assert [line.step for line in lines if (line.kind, line.event) == ("request", "finished")] == [0, 1, 2, 3]
    assert [line.step for line in lines if (line.kind, line.event) == ("call", "finished")] == [0, 1, 2]
    assert {line.version for line in lines if (line.kind, line.event) == ("request", "started")} == {"7"}
    assert not any(line.wrong or line.missing for line in lines)
    if tokens is not None:
        assert sum(line.input_tokens + line.output_tokens for line in lines) == tokens


async def test_pydantic_ai(world: Playing) -> None:
    world.play([item("a", *COURSE)])
    url = f"{world.url}/shop/a"

    def tool(spec: shop.ToolSpec) -> Tool[object]:
        async def use(**arguments: Any) -> str:
            return await shop.acall(url, spec.name, arguments, timeout_seconds=60)

        return Tool[object].from_schema(use, spec.name, spec.description, spec.parameters)

    async with AsyncOpenAI(base_url=f"{world.url}/v1", api_key="any") as client:
        agent = Agent(
            OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)),
            deps_type=object,
            instructions="Version 7.\nBe kind.",
            tools=[tool(spec) for spec in shop.tools(f"{world.url}/shop")],
        )
        async with agent.iter("Ticket a: Help me.", deps=None) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for _ in stream:
                            pass
        assert run.result is not None
        check(world, run.result.output, run.result.usage.total_tokens)
        # The same without a stream.
        world.play([item("a", *COURSE)])
        result = await agent.run("Ticket a: Help me.", deps=None)
        check(world, result.output, result.usage.total_tokens)


def test_langchain(world: Playing) -> None:
    require("rivals")
    from langchain_core.messages import AIMessageChunk, ToolMessage
    from langchain_openai import ChatOpenAI

    world.play([item("a", *COURSE)])
    given: dict[str, Any] = {"base_url": f"{world.url}/v1", "api_key": "any", "stream_usage": True}
    tools = [spec.as_openai() for spec in shop.tools(f"{world.url}/shop/a")]
    messages: list[Any] = opening("a")
    tokens = 0
    while True:
        reply = AIMessageChunk(content="")
        with httpx.Client() as client:
            model: Any = ChatOpenAI(model=MODEL, http_client=client, **given)
            for chunk in model.bind_tools(tools).stream(messages):
                reply += chunk
        assert reply.usage_metadata is not None
        tokens += reply.usage_metadata["total_tokens"]
        messages.append(reply)
        if not reply.tool_calls:
            break
        (made,) = reply.tool_calls
        result = shop.call(f"{world.url}/shop/a", made["name"], made["args"], timeout_seconds=60)
        messages.append(ToolMessage(json.dumps(json.loads(result)), tool_call_id=made["id"]))
    check(world, str(reply.content), tokens)
