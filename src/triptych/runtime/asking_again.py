"""Has a Prefect server answer again what it has refused for a locked database; see ADR 16."""

from __future__ import annotations

import asyncio
import importlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAUSES = (0.01, 0.02, 0.04, *[0.08] * 16)
"""Seconds before each further try, on average. A lock is held for some hundredths of a second."""
MOST_SECONDS = 1.5
"""How long a request is tried. Whoever sent one that waited for a lock, up to a minute, may have given it up."""
REFUSED = 503
"""What Prefect answers where a client may ask again; its own client does so after 2, 4, 8, 16 and 32 seconds."""


class AskingAgain:
    """ASGI middleware: a request that changes something and was refused is tried again, as its sender would do later.

    Args:
        app: What answers.
        pauses: Seconds before each further try.
        most_seconds: How long after it came a request may be refused and tried again.
    """

    def __init__(self, app: ASGIApp, pauses: Sequence[float] = PAUSES, most_seconds: float = MOST_SECONDS) -> None:
        self._app = app
        self._pauses = pauses
        self._most_seconds = most_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; the last try's refusal is passed on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return
        until = time.monotonic() + self._most_seconds
        for pause in self._pauses:
            if not await self._is_refused(scope, _again(body, receive), send, until):
                return
            # Not all at the same moment: what is refused together would meet again.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        await self._app(scope, _again(body, receive), send)

    async def _is_refused(self, scope: Scope, receive: Receive, send: Send, until: float) -> bool:
        """Try once; whatever is not a refusal is sent, and so is one that comes too late."""
        refused = False

        async def unless_refused(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                refused = message["status"] == REFUSED and time.monotonic() < until
            if not refused:
                await send(message)

        # Starlette raises the error once more when it has been answered, for the web server to log. Routing writes to
        # the scope.
        try:
            await self._app(dict(scope), receive, unless_refused)
        except Exception:
            if not refused:
                raise
        return refused


async def _whole(receive: Receive) -> bytes | None:
    """Return a request's body, or None where its sender has gone."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body, and then what else is received."""
    left = [body]

    async def give() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return give


def ask_again() -> None:
    """Put it before every server that is made in this process from now on."""
    server: Any = importlib.import_module("prefect.server.api.server")
    create: Callable[..., Starlette] = server.create_app

    def create_app(*args: Any, **options: Any) -> Starlette:
        app = create(*args, **options)
        # One from Prefect's cache has it already.
        if not any(each.cls is AskingAgain for each in app.user_middleware):
            app.add_middleware(AskingAgain)
        return app

    server.create_app = create_app
