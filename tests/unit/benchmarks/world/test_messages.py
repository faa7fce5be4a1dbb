"""A request is read whatever client wrote it, and costs the same however its JSON is spelled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.world.messages import BadRequest, read, tokens_of
from tests.unit.benchmarks.world.playing import LOOK, called, opening

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


def tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "order_lookup", "description": "Look.", "parameters": parameters}}


def test_what_a_request_says() -> None:
    said = read({"messages": [*opening("a-1"), *called(LOOK, "found", "x")], "tools": [tool(**SCHEMA)]})
    assert (said.item, said.version, said.offered) == ("a-1", "7", {"order_lookup"})
    assert said.answered == (("order_lookup", {"order_id": "#T1009"}, "found"),)


def test_content_may_be_parts_and_instructions_a_developers() -> None:
    parts = [{"type": "text", "text": "Ticket a-1: "}, {"type": "text", "text": "Help me."}]
    developer = {"role": "developer", "content": [{"type": "text", "text": "Version 12.\nBe kind."}]}
    said = read({"messages": [developer, {"role": "user", "content": parts}]})
    assert (said.item, said.version) == ("a-1", "12")


@pytest.mark.parametrize("first", ["Be kind.\nVersion 3.", "Version 3", "", "Version 3. And more."])
def test_a_version_is_named_in_the_first_line_alone(first: str) -> None:
    messages = [{"role": "system", "content": first}, {"role": "user", "content": "Ticket a: ?"}]
    assert read({"messages": messages}).version is None


def test_tokens_are_a_quarter_of_what_is_said() -> None:
    messages = [{"role": "system", "content": "x" * 40}, {"role": "user", "content": "Ticket a: " + "y" * 30}]
    # A list of no tools is the two brackets of its JSON.
    assert read({"messages": messages}).tokens == (40 + 40 + 2) // 4
    assert tokens_of("abc", "defgh") == 2


def test_tokens_do_not_depend_on_the_spelling_of_json() -> None:
    result = {"b": [1, 2], "a": "ü"}
    plain = [*opening("a"), *called(LOOK, json.dumps(result), "x")]
    other = [
        *opening("a"),
        *called(LOOK, json.dumps(result, indent=4, sort_keys=True, ensure_ascii=False), "call_12345"),
    ]
    other[2]["tool_calls"][0]["function"]["arguments"] = '{\n  "order_id":"#T1009"\n}'
    other[2]["content"] = None
    noisy = {**SCHEMA, "additionalProperties": False, "title": "OrderLookup", "$schema": "any"}
    dressed = tool(**dict(reversed(noisy.items())))
    dressed["function"]["strict"] = True
    assert read({"messages": plain, "tools": [tool(**SCHEMA)]}).tokens == (
        read({"messages": other, "tools": [dressed]}).tokens
    )


def test_a_parameter_named_like_a_word_of_the_schema_counts() -> None:
    without = {**SCHEMA, "properties": {}}
    sizes = [read({"messages": opening("a"), "tools": [tool(**each)]}).tokens for each in (SCHEMA, without)]
    assert sizes[0] > sizes[1]


def test_more_text_costs_more() -> None:
    plain = read({"messages": [*opening("a"), *called(LOOK, "found", "x")]})
    longer = read({"messages": [*opening("a"), *called(LOOK, "found" * 10, "x")]})
    assert longer.tokens - plain.tokens == pytest.approx(45 / 4, abs=1)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        (None, "'messages'"),
        ([], "'messages'"),
        (["words"], "not of OpenAI's form"),
        ([{"role": "user", "content": "Hello. Ticket a: ?"}], "does not begin with"),
        ([{"role": "system", "content": "Ticket a: ?"}], "does not begin with"),
        ([*opening("a"), called(LOOK, "", "x")[0]], "no message of role 'tool'"),
    ],
)
def test_what_is_refused(messages: Any, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        read({"messages": messages})


def test_several_calls_at_once_are_refused() -> None:
    twice = called(LOOK, "", "x")
    twice[0]["tool_calls"] *= 2
    with pytest.raises(BadRequest, match="one at a time"):
        read({"messages": [*opening("a"), *twice]})


@pytest.mark.parametrize("arguments", ["[]", "{", "3"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    messages = [*opening("a"), *called(LOOK, "", "x")]
    messages[2]["tool_calls"][0]["function"]["arguments"] = arguments
    with pytest.raises(BadRequest, match="not a JSON object"):
        read({"messages": messages})
