"""The shop: its tools over HTTP, for each item on records of its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from benchmarks.world.attempts import Attempt, Stage
from benchmarks.world.exchange import Exchange
from benchmarks.world.tools import BadCall, checked

IDEMPOTENCY_KEY = "idempotency-key"


async def call(exchange: Exchange, stage: Stage) -> None:
    """Do a tool call, and answer with its result.

    A call that has arrived is done, whether or not its caller waits for the answer.
    """
    name = exchange.path_parts["tool"]
    key = exchange.header(IDEMPOTENCY_KEY)
    try:
        course = stage.courses.get(exchange.path_parts["item"])
        if course is None:
            raise BadCall(f"there are no records for {exchange.path_parts['item']}")
        arguments = _arguments(await exchange.body())
        checked(name, arguments)
        step = course.step_of(name, arguments)
    except BadCall as reason:
        await exchange.reply(400, {"error": str(reason)})
        return
    attempt = Attempt(stage, exchange, course, "call", step, key=key)
    attempt.note(event="started")
    with exchange.watched():
        await attempt.find_victim()
        if await attempt.reached("received"):
            return
        if attempt.fault is not None and attempt.fault.what == "error":
            attempt.note(event="failed")
            await exchange.reply(503, {"error": "the shop cannot answer now; try again"})
            return
        await asyncio.sleep(stage.job.tool_seconds + attempt.lateness())
        try:
            done = course.do(name, arguments, key)
        except BadCall as reason:
            attempt.note(event="failed")
            await exchange.reply(400, {"error": str(reason)})
            return
        if done.applied:
            attempt.note(event="applied")
        attempt.note(event="finished")
        if await attempt.reached("done"):
            return
        await exchange.reply(200, {"result": done.result})
        await attempt.reached("answered")


def _arguments(data: bytes) -> dict[str, Any]:
    try:
        arguments = json.loads(data or b"{}")
    except ValueError as reason:
        raise BadCall(f"the body is not JSON: {reason}") from reason
    if not isinstance(arguments, dict):
        raise BadCall("the body is not a JSON object")
    return cast("dict[str, Any]", arguments)
