"""A box as the workspace of a pydantic-ai agent."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import anyio
from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    SupportsCommands,
    SupportsFilesystem,
    SupportsRealpath,
    WorkspaceBackend,
    WorkspaceCommand,
    WorkspaceOutputLimitError,
    WorkspaceRef,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox.client import BoxLost, Client, Ended
from triptych.sandbox.policy import ROOT

PROVIDER = "triptych"
NO_ROOM_EXIT_CODE = 126
"""What a command exits with that the box had no process or no memory left for, as where a shell cannot start one."""


class HandsBackend(WorkspaceBackend, SupportsCommands, SupportsFilesystem, SupportsRealpath):
    """A box of the broker's, made when it is first used, or the one that `ref` names.

    The box lives while this process does, within its template's lifetime; whoever holds the ref may end it sooner by
    `destroy`. Errors are those of pydantic-ai's contract; a broker that does not answer or has no room is
    `SandboxUnavailable`, which the runtime retries.

    Args:
        client: The broker's.
        template: The kind of a box that is to be made.
        ref: A box that is there already.
        prepare: Called with the id of a box that has just been made, before anything else is done in it. A box that
            cannot be prepared is ended.
    """

    def __init__(
        self,
        client: Client,
        *,
        template: str | None = None,
        ref: WorkspaceRef | None = None,
        prepare: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        if (template is None) == (ref is None):
            raise ConfigurationError("a box is made from a `template`, or reached by its `ref`: give one of them")
        if ref is not None and ref.provider != PROVIDER:
            raise ConfigurationError(f"{ref.provider!r} is not the provider of a box of Triptych's: {PROVIDER!r} is")
        self._client = client
        self._template = template
        self._ref = ref
        self._prepare = prepare
        self._is_ready = False
        self._making = anyio.Lock()
        self.is_lost = False
        """Whether the box was found to be gone, whatever became of that error on its way."""

    @property
    def ref(self) -> WorkspaceRef | None:
        """The box's identity. It is no key: the broker asks the kernel who calls."""
        return self._ref

    async def working_dir(self) -> str:
        """Return the folder that commands start in, the same in every box."""
        await self._box()
        return ROOT

    async def destroy(self) -> None:
        """End the box; one that was never made, or is gone, is fine."""
        if self._ref is not None:
            await self._client.destroy(self._ref.id)

    async def discard(self) -> None:
        """End the box; the next use makes another one. What is gone already, or out of reach, ends by itself."""
        box, self._ref = self._ref, None
        self._is_ready = self.is_lost = False
        if box is not None:
            with anyio.CancelScope(shield=True), contextlib.suppress(SandboxUnavailable):
                await self._client.destroy(box.id)

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command; at its timeout, or when the caller is cancelled, it and all that it started end."""
        if isinstance(command, str) != shell:
            raise TypeError("a string needs shell=True, and a sequence of arguments shell=False")
        if timeout is not None and not 0 < timeout < float("inf"):
            raise ValueError("timeout must be a positive finite number or None")
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        async with self._using() as box:
            try:
                ended = await self._client.run(box, argv, dict(env or {}), timeout)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOMEM):
                    raise
                return CommandResult(exit_code=NO_ROOM_EXIT_CODE, stdout="", stderr=f"{argv[0]}: {error.strerror}\n")
        stdout, stderr = (output.decode(errors="replace") for output in (ended.stdout, ended.stderr))
        if ended.ended_by == "timeout":
            raise WorkspaceTimeoutError(f"not done after {timeout:g} s", stdout=stdout, stderr=stderr)
        if ended.ended_by == "output":
            size = len(ended.stdout) + len(ended.stderr)
            message = f"it was ended after {size} bytes of output"
            raise WorkspaceOutputLimitError(message, limit=size, stdout=stdout, stderr=stderr)
        return CommandResult(exit_code=ended.exit_code, stdout=stdout, stderr=stderr)

    async def stream(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: float | None,
        idle_timeout: float | None,
        hear: Callable[[int, bytes], None],
    ) -> Ended:
        """Run a command and hand its output on as it comes; see `Client.stream`. How it ended is no error here."""
        async with self._using() as box:
            return await self._client.stream(
                box, list(argv), dict(env), timeout_seconds=timeout, idle_seconds=idle_timeout, hear=hear
            )

    async def read_bytes(self, path: str) -> bytes:
        """Return a file's bytes."""
        async with self._using() as box:
            return b"".join([data async for data in self._client.get(box, "content", path)])

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Put bytes into a file."""
        async with self._using() as box:
            await self._client.put(box, "content", path, data)

    async def stat(self, path: str) -> FileEntry:
        """Return what there is to say of a file or folder."""
        async with self._using() as box:
            return FileEntry(**(await self._client.file(box, "stat", path))["entry"])

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """Return the entries of a folder, by name."""
        async with self._using() as box:
            return [FileEntry(**entry) for entry in (await self._client.file(box, "list", path))["entries"]]

    async def make_dir(self, path: str) -> None:
        """Make a folder and those above it."""
        async with self._using() as box:
            await self._client.file(box, "make_dir", path)

    async def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with what it holds; never the working directory."""
        async with self._using() as box:
            try:
                await self._client.file(box, "remove", path)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise ValueError(error.filename) from error
                raise

    async def exists(self, path: str) -> bool:
        """Whether there is something at a path."""
        async with self._using() as box:
            return (await self._client.file(box, "exists", path))["exists"]

    async def realpath(self, path: str) -> str:
        """Return where a path leads, links followed."""
        async with self._using() as box:
            return (await self._client.file(box, "realpath", path))["path"]

    @asynccontextmanager
    async def _using(self) -> AsyncGenerator[str]:
        box = await self._box()
        with self._noting_its_loss():
            yield box

    @contextmanager
    def _noting_its_loss(self) -> Generator[None]:
        try:
            yield
        except BoxLost as error:
            self.is_lost = True
            raise WorkspaceUnavailableError(str(error)) from error

    async def _box(self) -> str:
        if self._is_ready and self._ref is not None:
            return self._ref.id
        async with self._making:
            if not self._is_ready:
                await self._make_ready()
        assert self._ref is not None
        return self._ref.id

    async def _make_ready(self) -> None:
        with self._noting_its_loss():
            if self._ref is not None:
                self._client.keep_alive(self._ref.id, await self._client.renew(self._ref.id))
            else:
                assert self._template is not None
                # One that is made while its caller is cancelled would be nobody's.
                with anyio.CancelScope(shield=True):
                    self._ref = WorkspaceRef(provider=PROVIDER, id=await self._client.create(self._template))
                await self._be_prepared()
        self._is_ready = True

    async def _be_prepared(self) -> None:
        if self._prepare is None or self._ref is None:
            return
        try:
            await self._prepare(self._ref.id)
        except BaseException:
            # Half prepared is not prepared.
            await self.discard()
            raise
