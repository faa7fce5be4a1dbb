"""One HTTP request and its answer, as ASGI has it: with a caller that may be gone at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from benchmarks.world.killing import Peer


class Gone(Exception):
    """The caller has closed the connection, or is dead."""


class Exchange:
    """A request that is being answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take what ASGI gives."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()

    @property
    def peer(self) -> Peer:
        """Both ends of the connection."""
        return Peer(tuple(self._scope["client"]), tuple(self._scope["server"]))

    @property
    def base_url(self) -> str:
        """Where the caller has found the world."""
        host, port = self.peer.server
        return f"http://{host}:{port}"

    @property
    def path_parts(self) -> Mapping[str, str]:
        """What the route's pattern found in the path."""
        return self._scope["path_params"]

    def header(self, name: str) -> str | None:
        """A header, by its name in lower case; None if it did not come."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self._scope["headers"] if key == wanted), None)

    async def body(self) -> bytes:
        """The whole body. To be read once.

        Raises:
            Gone: before it was all there.
        """
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    @contextmanager
    def watched(self) -> Generator[None]:
        """Look out for the caller's going, once the body is read and as long as the context lasts."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()

    def check(self) -> None:
        """Make sure that the caller is there.

        Raises:
            Gone: it is not.
        """
        if self._gone.is_set():
            raise Gone

    async def until_gone(self, seconds: float) -> None:
        """Wait until the caller is gone, or for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)

    async def start(self, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the head."""
        sent = {"content-type": content_type, **(headers or {})}
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            }
        )

    async def send(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body.

        Args:
            data: The part.
            more: Whether more will follow.
        """
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def reply(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer, as JSON."""
        data = json.dumps(content).encode()
        await self.start(status, "application/json", {**(headers or {}), "content-length": str(len(data))})
        await self.send(data, more=False)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
