"""Reads a chat completion request: which item it is about, what has been called so far, and how long it is.

Its length is taken of a form of its own, so that arms pay alike for the same conversation however their libraries
spell JSON, order keys, or name calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

_TICKET = re.compile(r"Ticket ([a-z0-9][a-z0-9-]*): ")
_VERSION = re.compile(r"Version (\S+)\.\s*$")
_CHARACTERS_A_TOKEN = 4
_NOT_SHOWN = frozenset({"title", "additionalProperties", "$schema"})
"""Of a tool's schema: what libraries add or leave out, and no model is shown."""


class BadRequest(ValueError):
    """The provider refuses a request: whoever made it must change it."""


class Answered(NamedTuple):
    """A call that the model made, and what it was told."""

    name: str
    arguments: dict[str, Any]
    result: str


class Conversation(NamedTuple):
    """What a request says."""

    item: str
    version: str | None
    """That the instructions name in their first line."""
    answered: tuple[Answered, ...]
    """The oldest first."""
    offered: frozenset[str]
    """The names of the tools that the model may call."""
    tokens: int


def read(body: Mapping[str, Any]) -> Conversation:
    """Read a request.

    Args:
        body: Of a chat completion, as it came.

    Raises:
        BadRequest: it is none that OpenAI would take, or it is about no ticket.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list of at least one message")
    try:
        return _read(cast("list[dict[str, Any]]", messages), cast("list[dict[str, Any]]", body.get("tools") or []))
    except (KeyError, TypeError, AttributeError) as reason:
        raise BadRequest(f"the request is not of OpenAI's form: {type(reason).__name__}: {reason}") from reason


def tokens_of(*texts: str) -> int:
    """How many tokens these texts are: a quarter of their characters."""
    return sum(map(len, texts)) // _CHARACTERS_A_TOKEN


def canonical(value: Any) -> str:
    """Return a value as JSON in the one spelling that counts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _read(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> Conversation:
    texts: list[str] = []
    calls: dict[str, tuple[str, dict[str, Any]]] = {}
    results: dict[str, str] = {}
    instructions: str | None = None
    asked: str | None = None
    for message in messages:
        role, text = message["role"], _text(message.get("content"))
        if role in ("system", "developer") and instructions is None:
            instructions = text
        elif role == "user" and asked is None:
            asked = text
        elif role == "tool":
            results[message["tool_call_id"]] = text
            text = _spelled(text)
        texts.append(text)
        made = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
        if len(made) > 1:
            raise BadRequest("a message has several tool calls, and this model makes one at a time")
        for call in made:
            name, (arguments, spelled) = call["function"]["name"], _arguments(call["function"]["arguments"])
            calls[call["id"]] = (name, arguments)
            texts += (name, spelled)
    ticket = _TICKET.match(asked or "")
    if ticket is None:
        raise BadRequest("the first message of the user does not begin with 'Ticket <id>: '")
    if open_calls := [id for id in calls if id not in results]:
        raise BadRequest(f"the tool call {open_calls[0]} has no message of role 'tool' that answers it")
    version = _VERSION.match((instructions or "").partition("\n")[0])
    texts.append(_shown(json.dumps(tools)))
    return Conversation(
        item=ticket[1],
        version=version[1] if version else None,
        answered=tuple(Answered(*call, results[id]) for id, call in calls.items()),
        offered=frozenset(tool["function"]["name"] for tool in tools),
        tokens=tokens_of(*texts),
    )


def _text(content: Any) -> str:
    """Return the text of a message's content, which is a string, a list of parts, or null."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text") or part.get("refusal") or "" for part in content)


# What follows is done again for the whole of a history at each of its requests, and is remembered for that.


@lru_cache(maxsize=10_000)
def _arguments(text: str) -> tuple[dict[str, Any], str]:
    """Return a call's arguments, which nobody may change, and their spelling that counts."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"the arguments of a tool call are not a JSON object: {text[:100]}")
    return cast("dict[str, Any]", value), canonical(value)


@lru_cache(maxsize=10_000)
def _spelled(text: str) -> str:
    """Return JSON in the spelling that counts, and anything else as it is."""
    if text[:1] not in "{[":
        return text
    try:
        return canonical(json.loads(text))
    except ValueError:
        return text


@lru_cache(maxsize=100)
def _shown(tools: str) -> str:
    """Return what a model is shown of the tools of a request, in the spelling that counts."""
    return canonical(
        [
            {
                "name": tool["function"]["name"],
                "description": tool["function"].get("description") or "",
                "parameters": _without(tool["function"].get("parameters") or {}, _NOT_SHOWN),
            }
            for tool in json.loads(tools)
        ]
    )


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        kept = {key: _without(each, names) for key, each in fields.items() if key not in names}
        if "properties" in kept:
            # What stands there are names, not words of the schema: a parameter may well be named `title`.
            kept["properties"] = {key: _without(each, names) for key, each in fields["properties"].items()}
        return kept
    if isinstance(value, list):
        return [_without(each, names) for each in cast("list[Any]", value)]
    return value
