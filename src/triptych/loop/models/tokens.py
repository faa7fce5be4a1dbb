"""How the `scripted` model counts tokens: 4 characters each, over what a provider would be sent.

Deterministic, and blind to whatever differs between two runs of the same thing (times, run ids). Close enough to real
tokenizers for English and JSON to make costs and growth plausible; no substitute for a provider's count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponsePart,
    RetryFeedbackPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_core import to_json

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
"""A message's role and delimiters."""
TOKENS_PER_ATTACHMENT = 256
"""Anything in a prompt that is not text: an image, a file."""


def request_tokens(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> int:
    """The tokens that go in: instructions, tool schemas, and the whole history."""
    tokens = _text(_instructions(messages, parameters))
    for tool in (*parameters.declared_function_tools, *parameters.output_tools):
        tokens += _text(tool.name) + _text(tool.description or "")
        tokens += _text(to_json(tool.parameters_json_schema).decode())
    if parameters.output_mode in ("native", "prompted") and parameters.output_object is not None:
        tokens += _text(to_json(parameters.output_object.json_schema).decode())
    for message in messages:
        tokens += TOKENS_PER_MESSAGE
        if isinstance(message, ModelRequest):
            tokens += sum(_request_part(part) for part in message.parts)
        else:
            tokens += response_tokens(message.parts)
    return tokens


def response_tokens(parts: Iterable[ModelResponsePart]) -> int:
    """The tokens that come out."""
    tokens = 0
    for part in parts:
        if isinstance(part, TextPart | ThinkingPart):
            tokens += _text(part.content)
        elif isinstance(part, ToolCallPart):
            tokens += _text(part.tool_name) + _text(part.args_as_json_str())
    return tokens


def _instructions(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> str:
    if parameters.instruction_parts:
        return "\n\n".join(part.content for part in parameters.instruction_parts)
    last = next((message for message in reversed(messages) if isinstance(message, ModelRequest)), None)
    return (last.instructions if last is not None else None) or ""


def _request_part(part: ModelRequestPart) -> int:
    if isinstance(part, SystemPromptPart):
        return _text(part.content)
    if isinstance(part, UserPromptPart):
        return _user(part.content)
    if isinstance(part, ToolReturnPart):
        return _text(part.tool_name) + _text(part.model_response_str())
    if isinstance(part, RetryFeedbackPart):
        return _text(part.model_response())
    return 0


def _user(content: str | Sequence[UserContent]) -> int:
    if isinstance(content, str):
        return _text(content)
    tokens = 0
    for item in content:
        if isinstance(item, str):
            tokens += _text(item)
        else:
            tokens += _text(item.content) if isinstance(item, TextContent) else TOKENS_PER_ATTACHMENT
    return tokens


def _text(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)  # rounded up
