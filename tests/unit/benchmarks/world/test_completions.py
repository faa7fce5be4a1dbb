"""A response says the same in pieces as it does as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.contract import Action
from benchmarks.world.completions import ending, pieces, reply, whole
from tests.unit.benchmarks.world.playing import REFUND


def events(data: bytes) -> list[Any]:
    told = [part.removeprefix(b"data: ") for part in data.split(b"\n\n") if part]
    return [part.decode() if part == b"[DONE]" else json.loads(part) for part in told]


@pytest.mark.parametrize("characters", [1, 7, 1000])
@pytest.mark.parametrize("action", [None, REFUND])
def test_pieces_make_up_the_whole(action: Action | None, characters: int) -> None:
    said = reply(action, "It is done.", 10)
    deltas = [
        event["choices"][0]["delta"] for piece in pieces(said, characters, with_usage=False) for event in events(piece)
    ]
    message = whole(said)["choices"][0]["message"]
    assert "".join(delta.get("content", "") for delta in deltas) == message["content"]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    if action is None:
        assert calls == []
        return
    (made,) = message["tool_calls"]
    assert "".join(call["function"]["arguments"] for call in calls) == made["function"]["arguments"]
    assert json.loads(made["function"]["arguments"]) == action.arguments
    assert [call["id"] for call in calls if "id" in call] == [made["id"]]
    assert all(len(delta.get("content", "")) <= characters for delta in deltas)


def test_the_end_says_why_and_what_it_cost() -> None:
    said = reply(REFUND, "", 10)
    last, usage, end = events(ending(said, with_usage=True))
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert last["usage"] is None
    assert (usage["choices"], usage["usage"]) == ([], said.usage)
    assert end == "[DONE]"
    last, end = events(ending(reply(None, "Bye.", 10), with_usage=False))
    assert last["choices"][0]["finish_reason"] == "stop"
    assert "usage" not in last


def test_output_is_counted_however_arguments_are_spelled() -> None:
    turned = REFUND.model_copy(update={"arguments": dict(reversed(REFUND.arguments.items()))})
    assert reply(REFUND, "", 0).output_tokens == reply(turned, "", 0).output_tokens > 0
