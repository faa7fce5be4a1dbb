"""The doors of boxes with egress: a unix socket for each, with the proxy behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox.folder import egress_path
from triptych.sandbox.hands.tunnel import MAX_CONNECTIONS
from triptych.sandbox.policy import Egress
from triptych.sandbox.proxy import Proxy

INSIDE = "/run/egress"
"""Where a box sees the folder of its door."""
SOCKET = "s"
CERTIFICATE = "ca.pem"
_PIECE = 64 * 1024
_FOLDER = re.compile(r"[0-9a-f]{8}")
_NO_PROXY = ("localhost", "127.0.0.1", "::1")
_CERTIFICATES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
)

_log = logging.getLogger(__name__)


def environment(port: int, rules: Sequence[Egress]) -> dict[str, str]:
    """Return the variables by which the programs in a box find the proxy and trust its certificates."""
    address = f"http://127.0.0.1:{port}"
    # A box's own servers are its own, unless a rule means this machine's.
    direct = ",".join(name for name in _NO_PROXY if name not in {each.host for each in rules})
    return {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        **dict.fromkeys(_CERTIFICATES, f"{INSIDE}/{CERTIFICATE}"),
    }


class Doors:
    """Opens and closes the doors of boxes.

    Args:
        folder: The broker's.
        proxy: Where every door leads.
    """

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self._folder = egress_path(folder)
        self._proxy = proxy
        self._open: dict[str, _Door] = {}

    async def open(self, box: str, rules: Sequence[Egress]) -> Path:
        """Open the door of a new box; return the folder that the box is to see.

        Raises:
            ConfigurationError: there is no mitmproxy here.
            SandboxUnavailable: the proxy does not come up.
        """
        await self._proxy.start()
        place = self._place(box)
        place.mkdir()
        try:
            shutil.copyfile(self._proxy.certificate, place / CERTIFICATE)
            # Whatever the umask: the user of boxes is nobody here. The folder above keeps everybody else out.
            place.chmod(0o755)
            (place / CERTIFICATE).chmod(0o644)
            await self.reopen(box, rules)
        except BaseException:
            await self.close(box)
            raise
        return place

    async def reopen(self, box: str, rules: Sequence[Egress]) -> None:
        """Open the door that a box had with an earlier process of this broker; one that had none gets none."""
        place = self._place(box)
        if place.is_dir():
            door = _Door(self._proxy, box, rules)
            await door.open(place / SOCKET)
            self._open[box] = door

    async def close(self, box: str) -> None:
        """Close a box's door, with all that goes through it; one that is closed, or never was, is fine."""
        door = self._open.pop(box, None)
        if door is not None:
            await door.close()
        shutil.rmtree(self._place(box), ignore_errors=True)

    def sweep(self, boxes: Collection[str]) -> None:
        """Remove what is left of doors that are not of these boxes."""
        kept = {self._place(box).name for box in boxes}
        with contextlib.suppress(FileNotFoundError):
            for place in list(self._folder.iterdir()):
                if _FOLDER.fullmatch(place.name) and place.name not in kept:
                    shutil.rmtree(place, ignore_errors=True)

    def _place(self, box: str) -> Path:
        # Short, so that a socket may be wherever the broker's own may be.
        return self._folder / box[:8]


class _Door:
    """One box's socket, and the connections through it."""

    def __init__(self, proxy: Proxy, box: str, rules: Sequence[Egress]) -> None:
        self._proxy = proxy
        self._box = box
        self._rules = tuple(rules)
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._take, path)
        path.chmod(0o666)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._passing):
            task.cancel()
        if self._passing:
            await asyncio.wait(self._passing)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The box's program keeps to the limit; what runs beside it may connect by itself.
        if len(self._passing) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                there, to_there = await self._proxy.connect(self._box, self._rules)
            except (ConfigurationError, SandboxUnavailable) as error:
                _log.warning("box %s gets no egress: %s", self._box, error)
                text = b"Triptych's egress: the proxy does not run; the broker's log says why\n"
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text))
                writer.write(text)
                await writer.drain()
                return
            sending = asyncio.create_task(_carry(reader, to_there))
            try:
                # Where the proxy says no more there is no use in asking.
                await _carry(there, writer)
            finally:
                sending.cancel()
                to_there.transport.abort()
                await asyncio.wait({sending})
        except OSError:
            pass
        finally:
            writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
