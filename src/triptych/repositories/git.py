"""Run git on this machine in a repository that is somebody's, so that it does what was asked and runs nothing else.

A repository can name programs: hooks, filters, monitors, helpers for transports and credentials. None of them is run,
whoever wrote the repository's configuration; neither is anything named by this user's own configuration or environment.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from triptych.errors import ConfigurationError
from triptych.repositories.showing import visible

SECONDS = 120.0
MAX_BYTES = 64 * 1024 * 1024
"""Of what a command may print; one that prints more is ended."""
_CLOSING_SECONDS = 5.0
_MAX_COMPLAINT_BYTES = 64 * 1024
_SAID_CHARACTERS = 300

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.pager=cat",
    "core.sshCommand=ssh -oBatchMode=yes",
    "core.askPass=",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "credential.helper=",
    "protocol.ext.allow=never",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    # What is written is the same on every machine.
    "index.threads=1",
    "pack.threads=1",
)
_OWN_ENVIRONMENT = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_FOR_A_NETWORK = ("ALL_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "https_proxy", "no_proxy")
_FOR_CREDENTIALS = ("HOME", "SSH_AUTH_SOCK", "SSL_CERT_DIR", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


class Done(NamedTuple):
    """What came of a command."""

    code: int
    stdout: bytes
    complaint: str
    """The end of what it said on stderr, fit to be shown."""


@dataclass(frozen=True)
class Git:
    """Git in one repository: the one whose top is `folder`, never one above it."""

    folder: Path
    settings: tuple[str, ...] = ()
    """Of the configuration, `name=value`, over those of the repository."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the environment, beside what every command has."""

    async def ask(
        self,
        *arguments: str,
        stdin: bytes = b"",
        seconds: float = SECONDS,
        max_bytes: int = MAX_BYTES,
        over: str = "",
        own_configuration: bool = False,
    ) -> Done:
        """Run a command and return what came of it, whatever its exit code.

        Args:
            arguments: The command and its own; never a word of anybody else's where an option may stand.
            stdin: What it reads.
            seconds: It is ended after this.
            max_bytes: It is ended when it prints more.
            over: The transport it may use, `https` or `ssh`; none by default.
            own_configuration: Whether it reads this user's own configuration, which is for looking into it alone.

        Raises:
            ConfigurationError: there is no git, or the command took too long or printed too much.
        """
        settings = [part for setting in (*_SETTINGS, *self.settings) for part in ("-c", setting)]
        command = ["git", "--no-pager", "--no-replace-objects", "--literal-pathspecs", *settings, *arguments]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.folder,
                env=self._environment(over, own_configuration),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # No terminal to ask at, and a group that ends as a whole.
                start_new_session=True,
            )
        except FileNotFoundError:
            if not self.folder.is_dir():
                raise ConfigurationError(f"{self.folder} is no folder") from None
            raise ConfigurationError("git is not installed here, or not on the PATH: install it") from None
        try:
            async with asyncio.timeout(seconds):
                stdout, complaint, _ = await asyncio.gather(
                    _all_of(process, max_bytes), _end_of(process.stderr), _give(process.stdin, stdin)
                )
                code = await process.wait()
        except TimeoutError:
            raise ConfigurationError(
                f"git {arguments[0]} in {self.folder} took longer than {seconds:g} s and was ended"
            ) from None
        finally:
            # Also what it had started itself, and has left behind.
            _end(process)
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await process.communicate()
        if stdout is None:
            raise ConfigurationError(f"git {arguments[0]} in {self.folder} printed more than {max_bytes} bytes")
        return Done(code, stdout, complaint)

    async def run(
        self, *arguments: str, fault: str, stdin: bytes = b"", seconds: float = SECONDS, over: str = ""
    ) -> bytes:
        """Return what a command prints that is to succeed; see `ask`.

        Args:
            arguments: The command and its own.
            fault: What to say when it fails: what is wrong, where, and how it is mended.
            stdin: What it reads.
            seconds: It is ended after this.
            over: The transport it may use.

        Raises:
            ConfigurationError: it failed; git's own words are added.
        """
        done = await self.ask(*arguments, stdin=stdin, seconds=seconds, over=over)
        if done.code != 0:
            raise ConfigurationError(f"{fault}{f' ({done.complaint})' if done.complaint else ''}")
        return done.stdout

    def _environment(self, over: str, own_configuration: bool) -> dict[str, str]:
        inherited = ["PATH"]
        if over:
            inherited += [*_FOR_A_NETWORK, *_FOR_CREDENTIALS]
        if own_configuration:
            inherited += ["HOME", "XDG_CONFIG_HOME"]
        environment = {name: os.environ[name] for name in inherited if name in os.environ}
        environment |= _OWN_ENVIRONMENT
        # The name of no transport where none is allowed: an empty list would count as no list.
        environment["GIT_ALLOW_PROTOCOL"] = over or "none"
        environment["GIT_CEILING_DIRECTORIES"] = str(self.folder.parent)
        if own_configuration:
            del environment["GIT_CONFIG_GLOBAL"]
        return environment | dict(self.variables)


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _all_of(process: asyncio.subprocess.Process, max_bytes: int) -> bytes | None:
    assert process.stdout is not None
    pieces: list[bytes] = []
    size = 0
    while piece := await process.stdout.read(65536):
        size += len(piece)
        if size <= max_bytes:
            pieces.append(piece)
        else:
            # Read on to its end: with something left in the pipe asyncio never says that the process is over.
            _end(process)
    return b"".join(pieces) if size <= max_bytes else None


async def _end_of(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    end = b""
    while piece := await stream.read(65536):
        end = (end + piece)[-_MAX_COMPLAINT_BYTES:]
    # A server's words come among git's own.
    lines = [visible(line).strip() for line in end.decode(errors="backslashreplace").splitlines()]
    said = "; ".join(line for line in lines if line and not line.startswith("hint:"))
    half = _SAID_CHARACTERS // 2
    return said if len(said) <= 2 * half else f"{said[:half]} ... {said[-half:]}"


async def _give(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    assert stream is not None
    # It may end without having read it all, which its exit code is about.
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    stream.close()
    with suppress(BrokenPipeError, ConnectionResetError):
        await stream.wait_closed()
