"""The broker's process: `python -m triptych.sandbox.serving FOLDER [PORT ...]`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from triptych.errors import ConfigurationError
from triptych.sandbox.boxes import Boxes
from triptych.sandbox.broker import Broker, Connection
from triptych.sandbox.doors import Doors
from triptych.sandbox.engine import Engine
from triptych.sandbox.folder import (
    brains_socket_path,
    forwards_path,
    identity,
    secrets_path,
    socket_path,
    templates_path,
)
from triptych.sandbox.forwards import forwards
from triptych.sandbox.peers import Callers, as_brain, as_host
from triptych.sandbox.policy import Template, load
from triptych.sandbox.proxy import Proxy
from triptych.settings import Settings

_log = logging.getLogger(__name__)


class Templates:
    """The templates in force, read again when their file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._templates: Mapping[str, Template] = {}

    def __call__(self) -> Mapping[str, Template]:
        """Return them by name.

        Raises:
            ConfigurationError: the file cannot be read, or a value in it is wrong.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigurationError(f"there are no sandbox templates: {error}") from error
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._templates, self._stamp = load(self._path), stamp
        return self._templates


async def serve(folder: Path, proxy_command: str, ports: Sequence[int] = ()) -> None:
    """Serve boxes and forward ports until SIGTERM or SIGINT; then all boxes end.

    Args:
        folder: Holds the broker's identity, its templates, its sockets and the credentials of egress.
        proxy_command: How mitmproxy's `mitmdump` is called here.
        ports: Of this machine's own services that brains may reach.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Before the operator puts a credential there.
    secrets_path(folder).mkdir(mode=0o700, exist_ok=True)
    _allow_many_files()
    callers = Callers()
    async with (
        Engine(identity(folder)) as engine,
        Proxy(folder, proxy_command) as proxy,
        forwards(forwards_path(folder), ports, engine, callers),
    ):
        boxes = Boxes(engine, Doors(folder, proxy), Templates(templates_path(folder)))
        await boxes.adopt()
        watching = asyncio.create_task(boxes.watch())
        try:
            async with (
                _listening(Broker(engine, boxes, as_host), socket_path(folder), callers),
                _listening(Broker(engine, boxes, as_brain), brains_socket_path(folder), callers),
            ):
                _log.info("serving at %s", socket_path(folder))
                await _told_to_stop()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await boxes.end_all()


@asynccontextmanager
async def _listening(broker: Broker, path: Path, callers: Callers) -> AsyncGenerator[None]:
    runner = web.AppRunner(broker.app(), handler_cancellation=True)
    await runner.setup()
    served = runner.server
    assert served is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listening = await asyncio.get_running_loop().create_unix_server(lambda: Connection(served, callers), str(path))
    # A brain's container has a user of its own. The kernel tells the broker who calls; the file's mode does not.
    os.chmod(path, 0o666)
    try:
        yield
    finally:
        listening.close()
        await runner.cleanup()


def _allow_many_files() -> None:
    """Raise the limit of open files to what this user may have: every connection of a brain is two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _told_to_stop() -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(serve(Path(sys.argv[1]).absolute(), Settings().proxy_command, [int(port) for port in sys.argv[2:]]))
