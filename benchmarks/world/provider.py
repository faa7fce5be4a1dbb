"""The model's provider: chat completions in OpenAI's form, that play the course of the item they are about."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast

from benchmarks.world import completions
from benchmarks.world.attempts import Attempt, Stage
from benchmarks.world.completions import Reply
from benchmarks.world.course import Course
from benchmarks.world.exchange import Exchange, Gone
from benchmarks.world.messages import BadRequest, Conversation, read
from benchmarks.world.taking import AUTHORIZATION


async def complete(exchange: Exchange, stage: Stage) -> None:
    """Answer a request for a chat completion."""
    try:
        body = _body(await exchange.body())
        said = read(body)
        course, reply = _next(said, stage)
    except BadRequest as reason:
        await exchange.reply(400, completions.refusal(str(reason), "invalid_request_error"))
        return
    course.credential = exchange.header(AUTHORIZATION)
    turn = len(said.answered)
    wrong, missing = course.judge(said.answered)
    attempt = Attempt(stage, exchange, course, "request", turn)
    attempt.note(event="started", version=said.version, wrong=wrong, missing=missing)
    began = time.monotonic()
    with exchange.watched():
        await attempt.find_victim()
        if await attempt.reached("received") or await _refused(attempt, exchange):
            return
        try:
            await _play(attempt, exchange, stage, course, reply, body, began + attempt.lateness())
        except Gone:
            attempt.note(event="failed")


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError as reason:
        raise BadRequest(f"the body is not JSON: {reason}") from reason
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return cast("dict[str, Any]", body)


def _next(said: Conversation, stage: Stage) -> tuple[Course, Reply]:
    course = stage.courses.get(said.item)
    if course is None:
        raise BadRequest(f"there is no ticket {said.item}")
    actions, turn = course.item.actions, len(said.answered)
    if turn > len(actions):
        raise BadRequest(f"ticket {said.item} has {turn} calls behind it, and its course has {len(actions)}")
    action = actions[turn] if turn < len(actions) else None
    if action is not None and action.name not in said.offered:
        raise BadRequest(f"ticket {said.item} needs the tool {action.name}, which the request does not offer")
    return course, completions.reply(action, course.item.answer, said.tokens)


async def _refused(attempt: Attempt, exchange: Exchange) -> bool:
    what = None if attempt.fault is None else attempt.fault.what
    if what not in ("error", "rate_limit"):
        return False
    attempt.note(event="failed")
    if what == "error":
        error = completions.refusal("The server had an error while processing your request.", "server_error")
        await exchange.reply(500, error)
    else:
        error = completions.refusal("Rate limit reached.", "requests", "rate_limit_exceeded")
        await exchange.reply(429, error, {"retry-after": "1"})
    return True


async def _play(
    attempt: Attempt,
    exchange: Exchange,
    stage: Stage,
    course: Course,
    reply: Reply,
    body: dict[str, Any],
    began: float,
) -> None:
    """Say the reply at the model's pace, and do the faults that come once it is said."""
    pace = stage.job.pace
    streams = bool(body.get("stream"))
    options = cast("dict[str, Any]", body.get("stream_options") or {})
    with_usage = bool(options.get("include_usage"))
    chunks = list(completions.pieces(reply, pace.chunk_characters, with_usage=with_usage))
    # Where the answer is not to get out, its last piece does not; the rest has been streamed by then.
    is_withheld = attempt.fault is not None and attempt.fault.when == "done"
    for number, chunk in enumerate(chunks):
        await _until(began + pace.first_token_seconds + number * pace.chunk_seconds)
        exchange.check()
        is_last = number == len(chunks) - 1
        if not streams or (is_last and is_withheld):
            continue
        if number == 0:
            await exchange.start(200, "text/event-stream", {"cache-control": "no-cache"})
            attempt.note(event="first_token")
        await exchange.send(chunk, more=True)
    if reply.action is not None:
        course.hand_out(attempt.note.keywords["step"])
    if not streams and not is_withheld:
        attempt.note(event="first_token")
    # Before the end is sent: what the arm does next must not stand before this in the ledger.
    attempt.note(event="finished", input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
    if await attempt.reached("done"):
        return
    if streams:
        await exchange.send(completions.ending(reply, with_usage=with_usage), more=False)
    else:
        await exchange.reply(200, completions.whole(reply))
    await attempt.reached("answered")


async def _until(moment: float) -> None:
    left = moment - time.monotonic()
    if left > 0:
        await asyncio.sleep(left)
