"""Messages of every kind, and a way to change one field of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
    ImageUrl,
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelRequestAttempt,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    RetryInfo,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_request() -> ModelRequest:
    return ModelRequest(
        parts=[
            SystemPromptPart("You are brief.", timestamp=THEN),
            UserPromptPart(
                ["Look:", ImageUrl("https://example.com/a.png"), BinaryContent(b"\x00\xff", media_type="image/png")],
                timestamp=THEN,
            ),
            ToolReturnPart("look", {"a": [1, 2.5, None, "ü"]}, tool_call_id="call-1", timestamp=THEN),
            RetryFeedbackPart("again", retry=RetryInfo("validation_error", attempt=1, max_retries=2), timestamp=THEN),
        ],
        timestamp=THEN,
        instructions="Be brief.",
        run_id="run",
        conversation_id="conversation",
        metadata={"a": 1},
    )


def a_response() -> ModelResponse:
    return ModelResponse(
        parts=[
            TextPart("Well,", id="t1"),
            ThinkingPart("hm", signature="s"),
            ToolCallPart("look", '{"what":"a"}', tool_call_id="call-2"),
            NativeToolCallPart("web_search", {"query": "x"}, tool_call_id="call-3"),
            NativeToolReturnPart("web_search", "found", tool_call_id="call-3", timestamp=THEN),
            FilePart(BinaryContent(b"x", media_type="text/plain")),
        ],
        usage=RequestUsage(input_tokens=3, output_tokens=4, details={"a": 1}, cost=Decimal("0.0001")),
        model_name="m",
        provider_name="p",
        provider_details={"x": 1},
        finish_reason="stop",
        timestamp=THEN,
        run_id="run",
        conversation_id="conversation",
        failed_attempts=[
            ModelRequestAttempt(
                model_name="m", provider_name="p", outcome="error", timestamp=THEN, duration=timedelta(seconds=1)
            )
        ],
    )


def parameters(**fields: Any) -> ModelRequestParameters:
    given: dict[str, Any] = {
        "function_tools": [tool("look"), tool("buy", sequential=True)],
        "output_tools": [tool("final_result", kind="output")],
        "output_object": OutputObjectDefinition({"type": "object"}, name="Answer"),
        "instruction_parts": [InstructionPart("Be brief.")],
        "revealed_tool_names": {f"tool-{number}" for number in range(20)},
    }
    return ModelRequestParameters(**(given | fields))


def tool(name: str, **fields: Any) -> ToolDefinition:
    return ToolDefinition(name=name, description=f"To {name}.", **fields)


def changed(value: Any) -> Any:
    """Some other value of the same kind."""
    match value:
        case bool():
            return not value
        case str():
            return value + "!"
        case int() | float() | Decimal():
            return value + 1
        case bytes():
            return value + b"!"
        case datetime():
            return value.replace(year=value.year + 1)
        case dict():
            return {**cast("dict[str, Any]", value), "more": 1}
        case list():
            return cast("list[Any]", value)[:-1]
        case set():
            return {"more", *cast("set[str]", value)}
        case _:
            return "something"


def with_each_field_changed(message: ModelMessage | ToolDefinition) -> Iterator[tuple[str, Any]]:
    """The message with one field changed, for each of its own fields that may be set freely."""
    for field in dataclasses.fields(message):
        if field.init and field.name not in ("parts", "kind", "usage", "failed_attempts", "state"):
            yield field.name, dataclasses.replace(message, **{field.name: changed(getattr(message, field.name))})
