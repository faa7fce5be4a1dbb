"""The broker's process: `python -m triptych.sandbox.serving FOLDER`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from triptych.errors import ConfigurationError
from triptych.sandbox.boxes import Boxes
from triptych.sandbox.broker import Broker
from triptych.sandbox.engine import Engine
from triptych.sandbox.folder import identity, socket_path, templates_path
from triptych.sandbox.policy import Template, load

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


async def serve(folder: Path) -> None:
    """Serve boxes until SIGTERM or SIGINT; then all of them end.

    Args:
        folder: Holds the broker's identity, its templates and its socket.
    """
    folder.mkdir(parents=True, exist_ok=True)
    async with Engine(identity(folder)) as engine:
        boxes = Boxes(engine, Templates(templates_path(folder)))
        await boxes.adopt()
        watching = asyncio.create_task(boxes.watch())
        runner = web.AppRunner(Broker(engine, boxes).app(), handler_cancellation=True, access_log=None)
        await runner.setup()
        try:
            await _listen(runner, socket_path(folder))
            _log.info("serving at %s", socket_path(folder))
            await _told_to_stop()
        finally:
            await runner.cleanup()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await boxes.end_all()


async def _listen(runner: web.AppRunner, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    await web.UnixSite(runner, str(path)).start()
    # A brain's container has a user of its own. The kernel tells the broker who calls; the file's mode does not.
    os.chmod(path, 0o666)


async def _told_to_stop() -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(serve(Path(sys.argv[1]).absolute()))
