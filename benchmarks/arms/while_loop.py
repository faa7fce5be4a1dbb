"""A hand-written agent loop as a function-as-a-service: a fresh process an invocation, its state in its memory.

It does what a careful engineer adds: retries of the model by its own client, retries of a tool with one idempotency key
for all of them, time limits, a limit of steps. Nothing is kept: an invocation that dies is begun anew by the platform,
and one that needs a person ends, to be invoked again with what the person said.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from benchmarks import code, shop
from benchmarks.contract import APPROVAL_ABOVE_USD, MODEL

MAX_STEPS = 500
"""A run that has made so many model requests goes in circles."""

KeyOf = Callable[[str, str, dict[str, Any], int], str]
"""Makes an idempotency key of the ticket, the tool, its arguments, and how manieth call of just these it is, from 1."""


def new_key(ticket: str, tool: str, arguments: dict[str, Any], nth: int) -> str:
    """A key of its own for every call. It is the same in the retries of this call, and nowhere else."""
    return uuid.uuid4().hex


def handler(event: dict[str, Any], key_of: KeyOf = new_key) -> dict[str, Any]:
    """Handle a ticket.

    Args:
        event: `id`, `instruction` and `shop_url` of the ticket, and `decisions`: what a person has said so far, each a
            `tool`, its `arguments` and whether to `approve`.
        key_of: Makes the idempotency keys.

    Returns:
        The `answer`; or what it `asks` a person for: a `tool` and its `arguments`.
    """
    model = OpenAI(base_url=os.environ["MODEL_URL"], api_key=os.environ["OPENAI_API_KEY"], timeout=30, max_retries=2)
    package = Path(os.environ["FUNCTION_PACKAGE"])
    tools = [cast(ChatCompletionToolUnionParam, spec.as_openai()) for spec in shop.tools(package / "tools.json")]
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": (package / "instructions.txt").read_text()},
        {"role": "user", "content": event["instruction"]},
    ]
    scratch = Path(tempfile.mkdtemp(), event["id"])
    made: Counter[str] = Counter()
    for _ in range(MAX_STEPS):
        with model.chat.completions.stream(
            model=MODEL, messages=messages, tools=tools, stream_options={"include_usage": True}
        ) as stream:
            reply = stream.get_final_completion().choices[0].message
        if not reply.tool_calls:
            return {"answer": reply.content}
        calls = [(call.id, call.function.name, call.function.arguments) for call in reply.tool_calls]
        messages.append(
            {
                "role": "assistant",
                "content": reply.content,
                "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": tool, "arguments": arguments}}
                    for id, tool, arguments in calls
                ],
            }
        )
        for id, tool, text in calls:
            arguments = cast("dict[str, Any]", json.loads(text))
            approved = decision(event, tool, arguments)
            if approved is None:
                return {"asks": {"tool": tool, "arguments": arguments}}
            if tool == code.NAME:
                result = code.run_here(arguments["code"], scratch)
                messages.append({"role": "tool", "tool_call_id": id, "content": result})
                continue
            call = f"{tool} {json.dumps(arguments, sort_keys=True)}"
            made[call] += 1
            key = key_of(event["id"], tool, arguments, made[call])
            result = use(event["shop_url"], tool, arguments, key) if approved else "A person declined this call."
            messages.append({"role": "tool", "tool_call_id": id, "content": result})
    raise RuntimeError(f"no answer after {MAX_STEPS} model requests")


def decision(event: dict[str, Any], tool: str, arguments: dict[str, Any]) -> bool | None:
    """Whether a call may be made; None if a person has to be asked first."""
    if tool != "refund" or arguments["amount"] <= APPROVAL_ABOVE_USD:
        return True
    for said in event["decisions"]:
        if (said["tool"], said["arguments"]) == (tool, arguments):
            return said["approve"]
    return None


def use(shop_url: str, tool: str, arguments: dict[str, Any], key: str) -> str:
    """Call a tool, up to three times if the shop does not answer, with the same key; what it refuses the model is told.

    Raises:
        ShopUnavailable: it did not answer three times.
    """
    retrying = Retrying(
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.5, max=5),
        retry=retry_if_exception_type(shop.ShopUnavailable),
        reraise=True,
    )
    try:
        return retrying(shop.call, shop_url, tool, arguments, idempotency_key=key, timeout_seconds=2.0)
    except shop.ShopRefused as refusal:
        return f"Error: {refusal}"


def main(key_of: KeyOf = new_key) -> None:
    """What the platform runs for an invocation: the event comes on standard input, the result goes to the output."""
    json.dump(handler(json.load(sys.stdin), key_of), sys.stdout)


if __name__ == "__main__":
    main()
    # What follows is not the function's.
    raise SystemExit

# -- What the harness needs; no user of this architecture writes it. --

from contextlib import AbstractContextManager  # noqa: E402

from benchmarks.arms.protocol import Place, Served  # noqa: E402

SOURCES = ("while_loop.py",)
TUNED_BY = (
    "How Lambda handles errors and retries with asynchronous invocation - AWS Lambda, "
    "docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html: "
    "a function that fails, also by its time limit, is run two more times, after 1 and after 2 minutes (here seconds).",
    "Best practices for working with AWS Lambda functions, "
    "docs.aws.amazon.com/lambda/latest/dg/best-practices.html: settings in environment variables; "
    "'write idempotent code', which is the one advice not followed here: see while_loop_keyed.",
    "Retries and Timeouts, OpenAI Python library, github.com/openai/openai-python (README): "
    "the client's own two retries, with a time limit.",
)


def serve(place: Place) -> AbstractContextManager[Served]:
    """Bring up the platform with this function on it."""
    # Not above: the function's own start is measured, and this is not of it.
    from benchmarks.arms.functions import serve_function

    return serve_function(place, __name__)
