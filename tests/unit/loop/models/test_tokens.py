"""How the scripted model counts: by what a provider would be sent, and by nothing that differs between two runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from triptych.loop.models.tokens import TOKENS_PER_ATTACHMENT, TOKENS_PER_MESSAGE, request_tokens, response_tokens

NOTHING = ModelRequestParameters()


def _history(text: str) -> list[ModelMessage]:
    return [
        ModelRequest(parts=[SystemPromptPart(text), UserPromptPart(text)]),
        ModelResponse(parts=[ThinkingPart(text), TextPart(text), ToolCallPart("tool", {"a": text}, tool_call_id="1")]),
        ModelRequest(parts=[ToolReturnPart("tool", {"b": [text]}, tool_call_id="1")]),
    ]


def test_four_characters_a_token_rounded_up() -> None:
    assert response_tokens([TextPart("12345678")]) == 2
    assert response_tokens([TextPart("123456789")]) == 3
    assert response_tokens([ToolCallPart("tool", '{"a": 1}')]) == 3
    assert request_tokens([ModelRequest(parts=[UserPromptPart("1234")])], NOTHING) == 1 + TOKENS_PER_MESSAGE
    assert request_tokens([], NOTHING) == response_tokens([]) == 0


@given(text=st.text())
def test_times_and_run_ids_do_not_count(text: str) -> None:
    later = [
        replace(message, timestamp=datetime.now(UTC), run_id="other", conversation_id="other")
        for message in _history(text)
    ]

    assert request_tokens(later, NOTHING) == request_tokens(_history(text), NOTHING)


@given(text=st.text(min_size=1))
def test_every_message_and_every_part_adds(text: str) -> None:
    history = _history(text)

    for length in range(len(history)):
        assert request_tokens(history[: length + 1], NOTHING) > request_tokens(history[:length], NOTHING)
    for message in history:
        for part in message.parts:
            only: ModelMessage = replace(message, parts=[part])  # pyright: ignore[reportArgumentType]
            assert request_tokens([only], NOTHING) > TOKENS_PER_MESSAGE


def test_arguments_count_alike_as_text_and_as_an_object() -> None:
    as_text = ToolCallPart("tool", '{"order_id":"#W1"}')
    as_object = ToolCallPart("tool", {"order_id": "#W1"})

    assert response_tokens([as_text]) == response_tokens([as_object])


def test_tools_instructions_and_output_schemas_go_in() -> None:
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}}}
    tool = ToolDefinition(name="look_up", description="Look an order up.", parameters_json_schema=schema)
    request = ModelRequest(parts=[], instructions="Be brief.")
    bare = request_tokens([replace(request, instructions=None)], NOTHING)

    assert request_tokens([request], NOTHING) > bare
    assert request_tokens([request], ModelRequestParameters(function_tools=[tool])) > request_tokens([request], NOTHING)
    assert request_tokens([request], ModelRequestParameters(output_tools=[tool])) > request_tokens([request], NOTHING)
    bigger = replace(tool, parameters_json_schema={**schema, "required": ["order_id"]})
    assert request_tokens([request], ModelRequestParameters(function_tools=[bigger])) > request_tokens(
        [request], ModelRequestParameters(function_tools=[tool])
    )
    native = ModelRequestParameters(output_mode="native", output_object=OutputObjectDefinition(json_schema=schema))
    assert request_tokens([request], native) > request_tokens([request], NOTHING)


def test_a_prompt_of_several_kinds() -> None:
    prompt = UserPromptPart(["1234", TextContent("12345678"), ImageUrl("https://example.com/a.png")])

    assert request_tokens([ModelRequest(parts=[prompt])], NOTHING) == TOKENS_PER_MESSAGE + 3 + TOKENS_PER_ATTACHMENT
