"""Boxes as a library: `async with Sandbox.create("coding-agent-python") as box: ...`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic_ai.workspaces import CommandResult, Workspace

from triptych.errors import ConfigurationError
from triptych.sandbox.client import Client
from triptych.sandbox.folder import socket_path
from triptych.sandbox.policy import ROOT
from triptych.sandbox.workspace import HandsBackend
from triptych.settings import Settings

CLONE_SECONDS = 600.0


class Sandbox:
    """A box for the length of an `async with`. It is gone when the block ends, however it ends.

    What is not here is on `workspace`: reading, writing, listing files.

    Args:
        client: The broker's.
        template: The kind of box.
    """

    def __init__(self, client: Client, template: str) -> None:
        self._client = client
        self.backend = HandsBackend(client, template=template)
        self.workspace = Workspace(self.backend)

    @classmethod
    def create(cls, template: str, *, folder: Path | None = None, owner: str | None = None) -> Self:
        """Return a box that is made when the `async with` begins.

        Args:
            template: The kind of box, as a `SandboxPolicy` block or the broker's file names it.
            folder: The broker's; by default the one of `triptych up` in `TRIPTYCH_HOME`.
            owner: For whom: what `triptych sandboxes` shows.

        Raises:
            ConfigurationError: there is no such template, or its image is not here.
            SandboxUnavailable: the broker does not answer, or has no room.
        """
        return cls(Client(socket_path(folder or Settings().sandbox_folder), owner), template)

    async def __aenter__(self) -> Self:
        try:
            await self.backend.working_dir()
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.shield(self.backend.destroy())
        finally:
            await self._client.close()

    async def run(
        self,
        command: str | Sequence[str],
        *,
        shell: bool = False,
        env: dict[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> CommandResult:
        """Run a command in the working directory; see `HandsBackend.run`."""
        return await self.backend.run(command, shell=shell, env=env, timeout=timeout_seconds)

    async def clone(self, url: str, into: str, *, ref: str = "HEAD") -> None:
        """Put a git repository into a folder of the working directory.

        It is fetched here, outside the box, by this process's git and with its rights, and handed in as a bundle; the
        box itself needs no egress for it.

        Args:
            url: A path or URL.
            into: A folder in the working directory that is not there yet.
            ref: The branch, tag or commit that is checked out.

        Raises:
            ConfigurationError: git cannot fetch it, or there is no such ref.
        """
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / "repository.bundle"
            mirror = Path(folder) / "repository.git"
            await _git("clone", "--quiet", "--mirror", "--", url, str(mirror))
            await _git("-C", str(mirror), "bundle", "create", "--quiet", str(bundle), "--all", "HEAD")
            inside = f"/tmp/{bundle.name}"
            await self.workspace.write_bytes(inside, await asyncio.to_thread(bundle.read_bytes))
        script = 'git clone --quiet "$1" "$2" && rm "$1" && cd "$2" && git checkout --quiet "$3"'
        done = await self.run(["sh", "-c", script, "sh", inside, f"{ROOT}/{into}", ref], timeout_seconds=CLONE_SECONDS)
        if done.exit_code != 0:
            raise ConfigurationError(f"{url} at {ref} cannot be put into a box: {done.stderr.strip()}")

    async def copy_in(self, archive: bytes, path: str) -> None:
        """Lay a tar archive out in a folder of the box, over what is there."""
        box = self.backend.ref
        assert box is not None
        await self._client.put(box.id, "tree", await self.workspace.resolve(path), archive)

    async def copy_out(self, path: str, to: Path) -> None:
        """Write a folder of the box as a tar archive; nothing in it is unpacked here."""
        box = self.backend.ref
        assert box is not None
        with to.open("wb") as file:
            async with aclosing(self._client.get(box.id, "tree", await self.workspace.resolve(path))) as pieces:
                async for data in pieces:
                    await asyncio.to_thread(file.write, data)


async def _git(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, complaint = await asyncio.wait_for(process.communicate(), CLONE_SECONDS)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise ConfigurationError(f"git {arguments[0]} failed: {complaint.decode(errors='replace').strip()}")
