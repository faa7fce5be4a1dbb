"""The proxy of boxes with egress: one `mitmdump` for a broker, with `addon/egress.py` in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox.folder import egress_path, secrets_path
from triptych.sandbox.policy import Egress

READY_SECONDS = 60.0
END_SECONDS = 5.0
_ADDON = Path(__file__).with_name("addon") / "egress.py"
_READY = b"ready "
_OPTIONS = {
    # No connection to anywhere before the addon has looked at a request.
    "connection_strategy": "lazy",
    "upstream_cert": "false",
    # Nothing but HTTP/1.1: whatever else would be passed on unseen, or be one more thing to look at.
    "rawtcp": "false",
    "websocket": "false",
    "http2": "false",
    "http3": "false",
    # Else it has pages of its own.
    "onboarding": "false",
}

_log = logging.getLogger(__name__)


class Proxy:
    """Starts mitmproxy when it is first needed, again when it has died, and ends it.

    It listens at a port of loopback, and answers only connections that were announced to it over its stdin. It ends
    when its stdin does, and so with this process, however that ends.

    Args:
        folder: The broker's. Has the credentials in `secrets` and gets a certificate authority in `egress/ca`.
        command: How `mitmdump` is called here: a name on the PATH, or a path.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self._folder = folder
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def certificate(self) -> Path:
        """The public certificate of its authority, there once it has been started."""
        return self._authority / "mitmproxy-ca-cert.pem"

    @property
    def _authority(self) -> Path:
        return egress_path(self._folder) / "ca"

    async def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            ConfigurationError: there is no mitmproxy here.
            SandboxUnavailable: it does not come up.
        """
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start()

    async def connect(self, box: str, rules: Sequence[Egress]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to it for a box.

        Raises:
            ConfigurationError: there is no mitmproxy here.
            SandboxUnavailable: it does not come up, or does not answer.
        """
        await self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.ExitStack() as undo:
            # With the protocol's number asyncio sends every piece at once.
            connection = undo.enter_context(socket.socket(proto=socket.IPPROTO_TCP))
            connection.setblocking(False)
            connection.bind(("127.0.0.1", 0))
            told = {"port": connection.getsockname()[1], "box": box, "rules": [each.model_dump() for each in rules]}
            try:
                self._process.stdin.write(json.dumps(told).encode() + b"\n")
                await self._process.stdin.drain()
                await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
            except OSError as error:
                raise SandboxUnavailable(f"the egress proxy does not answer: {error}") from error
            streams = await asyncio.open_connection(sock=connection)
            undo.pop_all()
            return streams

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._listening is not None:
            await self._listening
            self._listening = None

    async def _start(self) -> None:
        command = shutil.which(self._command)
        if command is None:
            raise ConfigurationError(
                f"a box with egress needs mitmproxy, and there is no {self._command}: `uv tool install mitmproxy` or "
                "`pipx install mitmproxy`, or name its mitmdump in TRIPTYCH_PROXY_COMMAND"
            )
        await self.close()
        for folder in (egress_path(self._folder), self._authority, secrets_path(self._folder)):
            folder.mkdir(parents=True, exist_ok=True)
            # The sockets of boxes are for everybody who sees them.
            folder.chmod(0o700)
        options = {
            **_OPTIONS,
            "confdir": str(self._authority),
            "egress_secrets": str(secrets_path(self._folder)),
        }
        if trusted := ssl.get_default_verify_paths().cafile:
            # What this machine trusts, and not what came with mitmproxy.
            options["ssl_verify_upstream_trusted_ca"] = trusted
        words = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
        self._process = process = await asyncio.create_subprocess_exec(
            *(command, "--quiet", "--mode", "regular@127.0.0.1:0", "--scripts", str(_ADDON), *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Nothing of the broker's own is needed there.
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ},
            # Ctrl-C in a terminal is for the broker, which ends it.
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            said = b""
            async with asyncio.timeout(READY_SECONDS):
                while not said.startswith(_READY):
                    if not (said := await process.stdout.readline()):
                        raise SandboxUnavailable("the egress proxy ended at its start: the broker's log says why")
        except TimeoutError:
            await self.close()
            raise SandboxUnavailable(f"the egress proxy did not come up within {READY_SECONDS:g} s") from None
        except BaseException:
            await self.close()
            raise
        self._port = int(said.removeprefix(_READY))
        self._listening = asyncio.create_task(_write_down(process.stdout))
        _log.info("the egress proxy runs as process %s", process.pid)


async def _write_down(said: asyncio.StreamReader) -> None:
    while line := await said.readline():
        _log.info("egress: %s", line.decode(errors="replace").rstrip())
