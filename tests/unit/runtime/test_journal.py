"""What an execution knows of its steps: what is new in a request, and ids that are unique in a conversation."""

from __future__ import annotations

import dataclasses
import re

from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart

from tests.unit.runtime.messages import parameters, tool
from triptych.records import InputDigest
from triptych.runtime.durability import id_suffix
from triptych.runtime.journal import AgentRun


def asked(text: str) -> ModelRequest:
    return ModelRequest(parts=[UserPromptPart(text)])


def answered(*ids: str) -> ModelResponse:
    return ModelResponse(parts=[TextPart("well"), *(ToolCallPart("look", "{}", tool_call_id=each) for each in ids)])


def test_only_what_is_new_since_the_last_request_is_added() -> None:
    run = AgentRun(path="a-0")
    history: list[ModelMessage] = [asked("a")]
    assert [part.name for part in run.added(history)] == ["request", "user-prompt"]
    history += [answered("c1"), asked("b")]
    added = run.added(history)
    assert [part.name for part in added] == [
        "response",
        "text",
        "tool-call look c1",
        "request",
        "user-prompt",
    ]
    assert run.added(history) == ()


def test_an_equal_copy_of_the_history_adds_nothing() -> None:
    run = AgentRun(path="a-0")
    history: list[ModelMessage] = [asked("a"), answered("c1")]
    run.added(history)
    assert run.added([dataclasses.replace(message) for message in history]) == ()


def test_a_rewritten_history_is_told_from_one_that_grew() -> None:
    history: list[ModelMessage] = [asked("a"), answered("c1"), asked("b")]
    added: list[tuple[InputDigest, ...]] = []
    for later in ([*history, asked("c")], [asked("a"), asked("c")], [asked("summary"), asked("c")], history[:2]):
        run = AgentRun(path="a-0")
        run.added(history)
        added.append(run.added(later))
    rewritten = [any(part.name == "rewritten history" for part in each) for each in added]
    assert rewritten == [False, True, True, True]
    assert len(set(added)) == 4


@given(st.lists(st.lists(st.sampled_from(["c1", "c1_2", "c2", ""]), max_size=4), max_size=4))
def test_tool_call_ids_are_unique_in_a_conversation_and_the_same_each_time(responses: list[list[str]]) -> None:
    def play() -> list[str]:
        run = AgentRun(path="a-0")
        history: list[ModelMessage] = []
        seen: list[str] = []
        for ids in responses:
            history.append(asked("go on"))
            run.added(history)
            own = run.with_own_ids(answered(*ids))
            seen += [part.tool_call_id for part in own.parts if isinstance(part, ToolCallPart)]
            history.append(own)
        return seen

    seen = play()
    assert len(set(seen)) == len(seen)
    assert seen == play()


def test_an_id_that_comes_once_is_left_alone() -> None:
    own = AgentRun(path="a-0").with_own_ids(answered("c1", "c2"))
    assert [part.tool_call_id for part in own.parts if isinstance(part, ToolCallPart)] == ["c1", "c2"]


def test_an_id_stays_short_and_plain_enough_for_every_provider() -> None:
    # OpenAI: 29 characters of its own, 40 at most; Anthropic: letters, digits, "_" and "-".
    theirs = "call_" + "x" * 24
    run = AgentRun(path="a-1", id_suffix=id_suffix("flow:a-1", "flow:a-0"))
    own = run.with_own_ids(answered(theirs, theirs))
    ids = [part.tool_call_id for part in own.parts if isinstance(part, ToolCallPart)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", each) for each in ids), ids


def test_the_static_part_is_worked_out_again_only_when_its_source_changed() -> None:
    run = AgentRun(path="a-0")
    first = run.static_of("m", [asked("a")], {"seed": 1}, parameters())
    assert run.static_of("m", [asked("a"), asked("b")], {"seed": 1}, parameters()) is first
    assert run.static_of("m", [asked("a")], {"seed": 2}, parameters()) != first
    assert run.static_of("m", [asked("a")], {"seed": 1}, parameters(function_tools=[tool("look")])) != first
    assert run.static_of("m", [asked("a")], {"seed": 1}, parameters()) == first
