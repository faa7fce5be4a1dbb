"""Digests: equal for a replay, wherever it happens; different as soon as anything that matters changed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from pydantic_ai.messages import ModelMessage, ToolCallPart

from tests.components.locate import CHECKOUT
from tests.unit.runtime.messages import a_request, a_response, changed, parameters, tool, with_each_field_changed
from triptych.records import InputDigest, StepInputs
from triptych.runtime.digest import describe_change, digest_of, message_parts, static_parts, step_inputs
from triptych.runtime.digest_fields import MESSAGE, PART, TOOL

MESSAGES = TypeAdapter(list[ModelMessage])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=json_values, other=json_values)
def test_equal_values_have_equal_digests_and_others_have_others(value: Any, other: Any) -> None:
    import json

    same = json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(value) == digest_of(other)) is same
    assert digest_of(json.loads(json.dumps(value))) == digest_of(value)


def test_the_order_of_keys_and_sets_does_not_count_and_that_of_lists_does() -> None:
    class Model(BaseModel):
        tags: set[str]

    @dataclasses.dataclass
    class Plain:
        tags: frozenset[str]

    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of(Model(tags={"a", "b"})) == digest_of(Model(tags={"b", "a"})) == digest_of(Plain(frozenset("ab")))
    assert digest_of({1, 2}) != digest_of({1, 3})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"\xff", object(), lambda: None, {1: {2}}, {(1, 2): 3}])
def test_anything_has_a_digest(value: object) -> None:
    assert digest_of(value) == digest_of(value)


def test_what_pydantic_ai_makes_up_anew_for_a_capability_without_an_id_does_not_count() -> None:
    def digests(capability_id: str | None) -> list[InputDigest]:
        made = parameters(function_tools=[tool("shell", capability_id=capability_id)])
        return list(static_parts("model", [], None, made))

    assert digests("<file_system:c71a56>") == digests("<file_system:7bb90f>")
    assert digests("<file_system:c71a56>") != digests("<shell:c71a56>")
    assert digests("mine:c71a56") != digests("mine:7bb90f")


@pytest.mark.parametrize("message", [a_request(), a_response()], ids=["request", "response"])
def test_a_message_has_the_same_digest_before_and_after_it_was_json(message: ModelMessage) -> None:
    again = MESSAGES.validate_json(MESSAGES.dump_json([message]))[0]
    assert message_parts(again) == message_parts(message)
    assert message_parts(MESSAGES.validate_json(MESSAGES.dump_json([again]))[0]) == message_parts(message)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # a changed field may not fit its type
@pytest.mark.parametrize("message", [a_request(), a_response()], ids=["request", "response"])
def test_a_message_s_digest_changes_with_every_field_but_the_volatile_ones(message: ModelMessage) -> None:
    seen: set[str] = set()
    for name, other in with_each_field_changed(message):
        seen.add(name)
        assert (message_parts(other) == message_parts(message)) is (name in MESSAGE.left_out), name
    assert seen >= MESSAGE.volatile - {"instructions"}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # a changed field may not fit its type
@pytest.mark.parametrize("message", [a_request(), a_response()], ids=["request", "response"])
def test_a_part_s_digest_changes_with_every_field_but_the_volatile_ones(message: ModelMessage) -> None:
    original = message_parts(message)
    for index, part in enumerate(message.parts):
        for field in dataclasses.fields(part):
            if not field.init or field.name in ("part_kind", "tool_kind", "dynamic_ref", "scope", "retry", "outcome"):
                continue
            value: Any = getattr(part, field.name)
            other: Any = dataclasses.replace(part, **{field.name: {"a": "b"} if value is None else changed(value)})
            parts: list[Any] = [*message.parts[:index], other, *message.parts[index + 1 :]]
            digests = message_parts(dataclasses.replace(message, parts=parts))
            place = f"{part.part_kind}.{field.name}"
            assert (digests == original) is (field.name in PART.left_out), place
            # Only the part that changed is said to have.
            assert sum(a.digest != b.digest for a, b in zip(digests, original, strict=True)) <= 1, place


def static(**fields: Any) -> tuple[InputDigest, ...]:
    usual: dict[str, Any] = {
        "model": "m",
        "messages": [a_request()],
        "settings": {"temperature": 0.5},
        "parameters": parameters(),
    }
    return static_parts(**(usual | fields))


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # a changed field may not fit its type
def test_a_tool_s_digest_changes_with_every_field_but_how_it_is_run() -> None:
    original = tool("look")
    for name, other in with_each_field_changed(original):
        tools = [other, tool("buy", sequential=True)]
        assert (static(parameters=parameters(function_tools=tools)) == static()) is (name in TOOL.unseen), name


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "other"}, "model changed"),
        ({"settings": {"temperature": 0.6}}, "settings changed"),
        ({"settings": None}, "settings changed"),
        ({"settings": {"temperature": 0.5, "timeout": 9, "max_retries": 0, "extra_headers": {"a": "b"}}}, None),
        ({"messages": [dataclasses.replace(a_request(), instructions="Be long.")]}, "instructions changed"),
        ({"parameters": parameters(instruction_parts=[])}, "instructions changed"),
        ({"parameters": parameters(function_tools=[tool("look")])}, "tool buy is no longer there"),
        (
            {"parameters": parameters(function_tools=[tool("look"), tool("buy", sequential=True), tool("sell")])},
            "tool sell is new",
        ),
        ({"parameters": parameters(function_tools=[tool("buy", sequential=True), tool("look")])}, "the order changed"),
        (
            {
                "parameters": parameters(
                    function_tools=[tool("look", strict=True), tool("buy", sequential=True)],
                )
            },
            "tool look changed",
        ),
        ({"parameters": parameters(output_tools=[tool("final_result", strict=True)])}, "output tool final_result"),
        ({"parameters": parameters(allow_text_output=False)}, "request parameters changed"),
        ({"parameters": parameters(output_mode="native")}, "request parameters changed"),
    ],
)
def test_a_change_of_the_static_part_is_named(fields: dict[str, Any], says: str | None) -> None:
    before, after = static(), static(**fields)
    assert (before == after) is (says is None)
    if says is not None:
        assert says in words(inputs(before), inputs(after), before, after)


def inputs(parts: Sequence[InputDigest] | None, added: Sequence[InputDigest] = (), previous: str = "") -> StepInputs:
    return step_inputs(previous=previous, static=parts, known_static=None, added=added)


def words(
    recorded: StepInputs,
    now: StepInputs,
    before: Sequence[InputDigest] | None = None,
    after: Sequence[InputDigest] | None = None,
) -> str:
    assert recorded.digest != now.digest
    return describe_change(recorded, now, recorded_static=before, static=after)


def test_a_change_of_what_a_step_adds_is_named() -> None:
    one, other = InputDigest(name="argument a", digest="1"), InputDigest(name="argument a", digest="2")
    assert words(inputs(None, [one]), inputs(None, [other])) == "argument a changed"
    assert words(inputs(None, [one]), inputs(None, [])) == "argument a is no longer there"
    assert words(inputs(None, []), inputs(None, [one])) == "argument a is new"
    third = InputDigest(name="argument a", digest="3")
    assert words(inputs(None, [one, other]), inputs(None, [third, other])) == "a repeated part changed"
    assert words(inputs(None, [one, one]), inputs(None, [one])) == "the order changed: argument a"
    assert words(inputs(None, [one], "x"), inputs(None, [one], "y")) == "what came before this step"


def test_a_step_s_static_parts_are_recorded_where_they_are_new() -> None:
    parts = static()
    first = step_inputs(previous="", static=parts, known_static=None, added=())
    second = step_inputs(previous=first.digest, static=parts, known_static=parts, added=())
    assert (first.static_parts, second.static_parts) == (parts, None)
    assert first.static == second.static


SCRIPT = """if True:
    from tests.unit.runtime.messages import a_request, a_response, parameters
    from triptych.runtime.digest import digest_of, message_parts, static_parts
    print(digest_of({"a": {"x", "y", "z"}}))
    print(message_parts(a_request()), message_parts(a_response()))
    print(static_parts("m", [a_request()], {"temperature": 0.5}, parameters()))
"""


def test_digests_are_the_same_in_processes_of_different_hash_seeds() -> None:
    def said(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=CHECKOUT,
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    first, second = said("1"), said("2")
    assert first == second
    assert str(static()) in first


def test_a_tool_call_s_arguments_count_as_the_model_wrote_them() -> None:
    def digests(args: Any) -> Any:
        message = dataclasses.replace(a_response(), parts=[ToolCallPart("look", args, tool_call_id="c")])
        return message_parts(message)

    assert digests('{"a":1}') != digests('{"a":2}')
