"""What the model says, and the form in which OpenAI's chat completions say it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.contract import MODEL, Action
from benchmarks.world.messages import canonical, tokens_of


class Reply(NamedTuple):
    """One response of the model: a text, and the call that it makes, if any."""

    text: str
    action: Action | None
    id: str
    """Of the response, and with another prefix of the call."""
    input_tokens: int

    @property
    def output_tokens(self) -> int:
        """What it is counted at."""
        if self.action is None:
            return tokens_of(self.text)
        return tokens_of(self.text, self.action.name, canonical(self.action.arguments))

    @property
    def usage(self) -> dict[str, int]:
        """Its tokens, in OpenAI's words."""
        paid = self.output_tokens
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": paid,
            "total_tokens": self.input_tokens + paid,
        }


def reply(action: Action | None, answer: str, input_tokens: int) -> Reply:
    """Return a new response: the answer, or a call. Its ids are new each time it is asked for, as a provider's are.

    Args:
        action: What to call; None: it is time for the answer.
        answer: The model's last words.
        input_tokens: Of the request.
    """
    text = answer if action is None else f"Let me call {action.name}."
    return Reply(text, action, secrets.token_hex(12), input_tokens)


def whole(of: Reply) -> dict[str, Any]:
    """Return a response as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": of.text, "refusal": None}
    if of.action is not None:
        message["tool_calls"] = [_call(of, of.action, json.dumps(of.action.arguments))]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(of)}
    return {**_head(of, "chat.completion"), "choices": [choice], "usage": of.usage}


def pieces(of: Reply, characters: int, *, with_usage: bool) -> Iterator[bytes]:
    """Return the chunks of a response as events, all but the last; see `ending`.

    Args:
        of: The response.
        characters: In a chunk, of the text and of the arguments.
        with_usage: Whether the client asked for it; then every chunk has the field.
    """
    deltas: list[dict[str, Any]] = [{"content": part} for part in _cut(of.text, characters)]
    if of.action is not None:
        deltas.append({"tool_calls": [{"index": 0, **_call(of, of.action, "")}]})
        deltas += (
            {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
            for part in _cut(json.dumps(of.action.arguments), characters)
        )
    deltas[0] = {"role": "assistant", **deltas[0]}
    for delta in deltas:
        yield _chunk(of, [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}], with_usage, None)


def ending(of: Reply, *, with_usage: bool) -> bytes:
    """Return the events that end a response: why it ends, its usage if the client asked for it, and the end itself."""
    last = _chunk(of, [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": _finish(of)}], with_usage, None)
    usage = _chunk(of, [], with_usage, of.usage) if with_usage else b""
    return last + usage + b"data: [DONE]\n\n"


def refusal(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """Return an error as OpenAI words it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _cut(text: str, characters: int) -> list[str]:
    return [text[start : start + characters] for start in range(0, len(text), characters)] or [""]


def _chunk(of: Reply, choices: list[dict[str, Any]], with_usage: bool, usage: dict[str, int] | None) -> bytes:
    body = {**_head(of, "chat.completion.chunk"), "choices": choices}
    if with_usage:
        body["usage"] = usage
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _head(of: Reply, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{of.id}", "object": kind, "created": int(time.time()), "model": MODEL}


def _call(of: Reply, action: Action, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{of.id}", "type": "function", "function": {"name": action.name, "arguments": arguments}}


def _finish(of: Reply) -> str:
    return "stop" if of.action is None else "tool_calls"
