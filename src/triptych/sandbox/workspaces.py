"""Which workspace an agent's commands run in: a box of ours, or what the configuration names in its place."""

from __future__ import annotations

import importlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic_ai.capabilities import AbstractCapability, LocalWorkspace
from pydantic_ai.exceptions import UserError
from pydantic_ai.tools import RunContext
from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef

from triptych.errors import ConfigurationError
from triptych.sandbox.client import Client
from triptych.sandbox.folder import answers, socket_path
from triptych.sandbox.workspace import PROVIDER, HandsBackend
from triptych.settings import Settings

HANDS, BUBBLEWRAP, BARE = "hands", "bubblewrap", "unisolated-on-this-machine-with-all-its-secrets"
"""What `TRIPTYCH_WORKSPACE` may say, beside a capability's place such as `pydantic_ai_harness:E2BSandbox`."""
_ELSEWHERE = (
    f"TRIPTYCH_WORKSPACE={BUBBLEWRAP} isolates commands on this machine without Docker, and "
    "TRIPTYCH_WORKSPACE=pydantic_ai_harness:E2BSandbox, say, takes a sandbox of pydantic-ai-harness"
)


@dataclass(kw_only=True)
class Hands(AbstractCapability[Any]):
    """Supplies a box of the broker's as a run's workspace, made when it is first used."""

    folder: Path
    """The broker's."""
    template: str = "coding-agent-python"
    """The kind of box, as a `SandboxPolicy` block names it."""
    owner: str | None = None
    """For whom; a brain's container is its flow run, whatever it says here."""
    _client: Client | None = field(default=None, init=False, repr=False)

    def get_workspace(self, ctx: RunContext[Any], *, ref: WorkspaceRef | None) -> WorkspaceBackend | None:
        """Return a box that is not made yet, or the one of a `ref` of ours."""
        if ref is not None and ref.provider != PROVIDER:
            return None
        if self._client is None:
            self._client = Client(socket_path(self.folder), self.owner)
        return HandsBackend(self._client, template=None if ref else self.template, ref=ref)

    async def destroy(self, ref: WorkspaceRef) -> None:
        """End a box; one that is gone already is fine."""
        client = Client(socket_path(self.folder), self.owner)
        try:
            await client.destroy(ref.id)
        finally:
            await client.close()


def workspace_capability(settings: Settings, *, owner: str | None = None) -> AbstractCapability[Any]:
    """Return what supplies an agent's workspace, by `workspace` and `workspace_options`.

    Code that a model wrote never runs bare on this machine where nobody asked for it by that name.

    Args:
        settings: What is configured.
        owner: For whom a box is, where it is one of ours.

    Raises:
        ConfigurationError: there is no such workspace, something that it needs is not here, or an option is wrong. The
            operator sees it, before anything is spent.
    """
    options = dict(settings.workspace_options)
    if settings.workspace == HANDS:
        if not answers(settings.sandbox_folder):
            raise ConfigurationError(
                f"there is no sandbox for code that a model wrote: no broker answers in {settings.sandbox_folder}. "
                f"`triptych up` starts one where a Docker Engine answers. Without Docker: {_ELSEWHERE}"
            )
        return _made(Hands, {"folder": settings.sandbox_folder, "owner": owner, **options})
    if settings.workspace == BARE:
        return _local(options)
    if settings.workspace == BUBBLEWRAP:
        return _bubblewrapped(settings, options)
    if ":" not in settings.workspace:
        raise ConfigurationError(
            f"TRIPTYCH_WORKSPACE={settings.workspace} is no workspace: {HANDS} (boxes of the broker's) is. {_ELSEWHERE}"
        )
    return _made(_class(settings.workspace), options)


def _bubblewrapped(settings: Settings, options: dict[str, Any]) -> AbstractCapability[Any]:
    if shutil.which("bwrap") is None:
        raise ConfigurationError("bubblewrap is not installed: its package is called bubblewrap")
    # The harness's shows commands all files of this machine and its user's processes. Theirs are these alone.
    hidden = [arg for each in (Path.home(), settings.folder) if each.is_dir() for arg in ("--tmpfs", str(each))]
    network = bool(options.pop("network", False))
    local = _local(options)
    folder = str(local.working_dir)
    wrapping = {"network": network, "bwrap_args": ["--unshare-pid", *hidden, "--bind", folder, folder]}
    return _made(_class("pydantic_ai_harness:BubblewrapSandbox"), wrapping, local)


def _local(options: dict[str, Any]) -> LocalWorkspace[Any]:
    local = cast(LocalWorkspace[Any], _made(LocalWorkspace, options))
    if not Path(local.working_dir).is_dir():
        raise ConfigurationError(f"TRIPTYCH_WORKSPACE_OPTIONS: there is no folder {local.working_dir}")
    return local


def _class(place: str) -> type[AbstractCapability[Any]]:
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as reason:
        raise ConfigurationError(
            f"TRIPTYCH_WORKSPACE={place} cannot be loaded: {reason}. Is its extra of pydantic-ai-harness installed?"
        ) from reason
    is_capability = isinstance(found, type) and issubclass(found, AbstractCapability)
    if not is_capability or cast(Any, found).get_workspace is cast(Any, AbstractCapability).get_workspace:
        raise ConfigurationError(f"TRIPTYCH_WORKSPACE={place} is no capability that supplies a workspace")
    return cast(Any, found)


def _made(kind: type[AbstractCapability[Any]], options: dict[str, Any], *around: Any) -> AbstractCapability[Any]:
    try:
        return kind(*around, **options)
    except (TypeError, ValueError, UserError, OSError) as reason:
        raise ConfigurationError(
            f"TRIPTYCH_WORKSPACE_OPTIONS do not fit {kind.__name__}: {reason}. They are its arguments, as JSON: "
            '{"working_dir": "/a/folder"}, say'
        ) from reason
