"""Ports of this machine's own that a brain's container reaches at 127.0.0.1 as well, through a socket that it sees.

So nothing of this machine has to listen where a network could reach it, and the kernel says who comes in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from triptych.errors import SandboxUnavailable
from triptych.sandbox.engine import Engine
from triptych.sandbox.peers import Callers, Stranger, as_brain

_CHUNK = 65536

Enter = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_log = logging.getLogger(__name__)


@asynccontextmanager
async def forwards(folder: Path, ports: Iterable[int], engine: Engine, callers: Callers) -> AsyncGenerator[None]:
    """Forward each port of this machine's own from `<folder>/<port>.sock`.

    Args:
        folder: Holds the sockets and nothing else.
        ports: At 127.0.0.1.
        engine: Tells whose container a caller is.
        callers: Who is connected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Not the folder itself: brains that live have it mounted.
    for stale in folder.iterdir():
        stale.unlink()
    async with contextlib.AsyncExitStack() as opened:
        for port in ports:
            path = folder / f"{port}.sock"
            server = await asyncio.start_unix_server(_entry(port, engine, callers), path)
            opened.callback(server.close)
            # The container's user is another one; see `peers`.
            os.chmod(path, 0o666)
        yield


def _entry(port: int, engine: Engine, callers: Callers) -> Enter:
    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                caller = callers.enter(writer.get_extra_info("socket"))
            except Stranger as error:
                _log.info("port %s: %s", port, error)
                return
            try:
                await as_brain(caller, None, engine)
                await _pass_on(reader, writer, port)
            except (Stranger, SandboxUnavailable, OSError) as error:
                _log.info("port %s: %s", port, error)
            finally:
                callers.leave(caller)

    return enter


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    from_there, to_there = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(to_there):
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(reader, to_there))
            group.create_task(_carry(from_there, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes to the end of one way; the other may go on."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(_CHUNK):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
