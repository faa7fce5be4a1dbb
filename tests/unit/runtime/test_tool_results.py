"""What a tool may return: refused by name where it would come back as something else, and otherwise the same twice."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import BinaryContent, ImageUrl, ModelMessage, ModelRequest, ToolReturn, ToolReturnPart
from pydantic_ai.models.test import TestModel

from tests.durable_runs import DurableRuns, calls, durable_agent
from triptych.errors import ConfigurationError
from triptych.loop.models import Plan, ScriptedModel

PLAN = Plan(turns=(calls(("give", {})),), final="done")


class Custom:
    """What no JSON knows."""


class Model(BaseModel):
    """What JSON knows through pydantic."""

    when: datetime
    price: Decimal
    tags: set[str] = {"a", "b"}
    inner: dict[str, list[int]] = {"a": [1]}


class Measured(BaseModel):
    """With a number that may be none."""

    length: float


@dataclasses.dataclass
class Plain:
    """What JSON knows through dataclasses."""

    name: str
    children: list[Plain] = dataclasses.field(default_factory=list["Plain"])


class Colour(Enum):
    """An enum."""

    RED = "red"


UNFIT: list[Any] = [
    Generator[int],
    Generator[int, None, None],
    Iterator[int],
    AsyncIterator[int],
    AsyncGenerator[int, None],
    Callable[[], int],
    threading.Thread,
    Custom,
    list[Custom],
    Custom | None,
]


@pytest.mark.filterwarnings("ignore:Could not generate return schema")  # pydantic-ai's own doubts, before ours
@pytest.mark.parametrize("declared", UNFIT, ids=str)
def test_a_declared_result_that_cannot_be_kept_is_refused_when_the_agent_is_built(declared: Any) -> None:
    def give() -> Any:
        raise AssertionError("never called")

    give.__annotations__["return"] = declared
    with pytest.raises(ConfigurationError, match="tool 'give' of agent 'small'"):
        durable_agent(TestModel(), give)


FIT: list[Any] = [
    Model,
    Plain,
    datetime,
    Decimal,
    bytes,
    BinaryContent,
    ToolReturn,
    ToolReturn[Model],
    None,
    list[Model],
]


@pytest.mark.parametrize("declared", [*FIT, Any, list[Model], dict[str, Any], Model | None], ids=str)
def test_a_declared_result_that_can_be_kept_is_let_in(declared: Any) -> None:
    def give() -> Any:
        raise AssertionError("never called")

    give.__annotations__["return"] = declared
    durable_agent(TestModel(), give)


def a_generator() -> Iterator[int]:
    yield 1


async def an_async_generator() -> AsyncIterator[int]:
    yield 1


FLEETING: dict[str, Callable[[], Any]] = {
    "generator": a_generator,
    "async generator": an_async_generator,
    "lambda": lambda: lambda: 1,
    "lock": threading.Lock,
    "custom object": Custom,
    "nested custom object": lambda: {"a": [Custom()]},
    "NaN": lambda: float("nan"),
    "infinity": lambda: [float("inf")],
    "NaN in a model": lambda: Measured(length=float("nan")),
    "nested generator": lambda: {"a": a_generator()},
    "iterator": lambda: iter([1]),
    "generator in a ToolReturn": lambda: ToolReturn(a_generator()),
    "lock in a ToolReturn's metadata": lambda: ToolReturn("a", metadata={"lock": threading.Lock()}),
}


@pytest.mark.parametrize("value", FLEETING.values(), ids=FLEETING)
async def test_an_undeclared_result_that_cannot_be_kept_ends_the_run_when_it_is_first_returned(
    runs: DurableRuns, value: Callable[[], Any]
) -> None:
    """Once: the tool has done what it does, its result is lost, and nothing tries again by itself."""
    given: list[Any] = []

    def give() -> Any:
        given.append(value())
        return given[-1]

    async def body() -> Any:
        return (await durable_agent(runs.model(PLAN), give).run("Give.")).output

    ended = await runs.execute(body, retries=0)
    assert isinstance(ended.error, ConfigurationError)
    assert "give" in str(ended.error)
    assert "checkpoint" in str(ended.error)
    assert len(given) == 1
    # The model was asked once, and a person who executes the run again gets the same refusal: its checkpoint stands.
    again = await runs.execute(body, ended.flow_run_id)
    assert isinstance(again.error, ConfigurationError)
    assert runs.asked == ["request:1"]
    # The call is made again then, as it has no checkpoint; an effect in it is applied once by its key.
    assert len(given) == 2


KEPT: dict[str, Any] = {
    "text": "Grüße\u2028\n",
    "none": None,
    "numbers": [0, -1, 2**70, 0.1, 1e300, True],
    "nothing": {},
    "pydantic model": Model(when=datetime(2026, 1, 2, tzinfo=UTC), price=Decimal("1.10")),
    "dataclass": Plain("a", [Plain("b")]),
    "dates": [datetime(2026, 1, 2, 3, 4, 5), date(2026, 1, 2), timedelta(seconds=1.5)],
    "decimal": Decimal("0.10"),
    "bytes": [b"text", {"raw": b"\x00\xff"}],
    "tuple and set": ((1, 2), {3}),
    "uuid, path, enum": [UUID(int=1), Path("/a"), Colour.RED],
    "nested": {"a": [Model(when=datetime(2026, 1, 2), price=Decimal(1)), {"b": Plain("c")}]},
    "binary content": BinaryContent(b"\x00\xff", media_type="image/png"),
    "url": ImageUrl("https://example.com/a.png"),
    "mixed content": ["see", BinaryContent(b"x", media_type="image/png")],
    "tool return": ToolReturn({"a": 1}, content=["look", ImageUrl("https://example.com/a.png")], metadata={"b": 2}),
}


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT)
async def test_live_run_and_replay_hand_the_model_the_same_as_a_bare_run_does(runs: DurableRuns, value: Any) -> None:
    def give() -> Any:
        return value

    async def body() -> Any:
        result = await durable_agent(runs.model(PLAN), give).run("Give.")
        return shown(result.all_messages()), returned(result.all_messages())

    first = await runs.execute(body)
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == first.result
    assert runs.asked == ["request:1", "request:2"]
    bare = await Agent(ScriptedModel(PLAN), tools=[give], instructions="Be brief.").run("Give.")
    assert first.result[0] == shown(bare.all_messages())


def returned(messages: list[ModelMessage]) -> list[Any]:
    """The tool's results as the history holds them."""
    return [part.content for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]


def shown(messages: list[ModelMessage]) -> list[Any]:
    """What a model is shown of the requests."""
    return [
        part.model_response_str()
        if isinstance(part, ToolReturnPart)
        else (part.part_kind, getattr(part, "content", None))
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
    ]
