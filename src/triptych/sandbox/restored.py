"""A workspace that outlives its boxes: each of them begins with the files as they were saved last."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from pydantic_ai.workspaces import WorkspaceRef
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential
from typing_extensions import override

from triptych.errors import SandboxUnavailable
from triptych.sandbox.client import BoxLost, Client
from triptych.sandbox.policy import ROOT
from triptych.sandbox.snapshots import Files
from triptych.sandbox.workspace import HandsBackend

P = ParamSpec("P")
T = TypeVar("T")

REF = WorkspaceRef(provider="triptych-files", id="workspace")
"""What such a workspace is known by. It names no box: boxes come and go, and a checkpoint may hold it."""
WAIT_SECONDS = 60.0
"""How long a broker that does not answer, or has no room, is waited for: the boxes of a process that died lie there for
their lease."""


class RestoredHands(HandsBackend):
    """Boxes one after the other, as one workspace.

    Args:
        client: The broker's.
        template: The kind of box.
        files: Those that each box begins with.
        snapshot: What the first box begins with; None: the base.
    """

    def __init__(self, client: Client, template: str, files: Files, snapshot: str | None = None) -> None:
        super().__init__(client, template=template, prepare=self._restore)
        self._files = files
        self._is_used = False
        self._snapshot = snapshot

    @property
    @override
    def ref(self) -> WorkspaceRef | None:
        """The workspace's identity, the same in every execution."""
        return REF

    @override
    async def working_dir(self) -> str:
        """Return the folder that commands start in; no box is needed to know it."""
        return ROOT

    async def go_on_from(self, snapshot: str) -> None:
        """Have the files of a snapshot, whatever they are now."""
        if snapshot != self._snapshot:
            self._snapshot = snapshot
            await self.discard()

    async def save(self, name: str) -> str | None:
        """Keep the files, where anything was done in the workspace since they were kept last.

        Args:
            name: What a new snapshot is called.

        Returns:
            The name of the snapshot that holds them; None for the base.

        Raises:
            BoxLost: the box is gone, and what was done in it.
            SandboxUnavailable: the broker does not answer.
            SandboxLimitHit: more has changed than may be kept.
        """
        if self._is_used and self._ref is not None:
            box = self._ref.id
            self._snapshot = await _patiently(self._files.save, box, name)
            self._is_used = False
        return self._snapshot

    async def settle(self) -> None:
        """After something failed in between: keep the box where its files are those that were saved last.

        Raises:
            SandboxUnavailable: the broker does not answer.
        """
        if self._ref is None:
            return
        box = self._ref.id
        try:
            is_as_saved = not self.is_lost and await _patiently(self._files.is_as_saved, box)
        except BoxLost:
            is_as_saved = False
        if not is_as_saved:
            await self.discard()

    @override
    async def discard(self) -> None:
        self._is_used = False
        await super().discard()

    @override
    async def _make_ready(self) -> None:
        await _patiently(super()._make_ready)

    @override
    @asynccontextmanager
    async def _using(self) -> AsyncGenerator[str]:
        self._is_used = True
        async with super()._using() as box:
            yield box

    async def _restore(self, box: str) -> None:
        await self._files.restore(box, self._snapshot)


async def _patiently(work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await AsyncRetrying(
        retry=retry_if_exception_type(SandboxUnavailable),
        stop=stop_after_delay(WAIT_SECONDS),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )(work, *args, **kwargs)
