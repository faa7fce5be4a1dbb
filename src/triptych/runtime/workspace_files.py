"""A workspace whose files follow the run's steps: what a step leaves in it is saved before the step counts as done.

When the run is executed again, its workspace begins with the files as of the last checkpoint. When a box goes away
while its run lives, another one takes its place, and what was being done is done again from the files before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import anyio
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.capabilities.abstract import WrapRunHandler
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import RunContext
from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.runtime.journal import Execution, current_execution
from triptych.runtime.ownership import require
from triptych.sandbox.client import BoxLost, Client
from triptych.sandbox.folder import answers, socket_path
from triptych.sandbox.restored import REF, RestoredHands
from triptych.sandbox.snapshots import Files, SnapshotPolicy
from triptych.sandbox.workspaces import HANDS, workspace_capability
from triptych.settings import Settings

SNAPSHOTS = "files"
"""The folder of all workspace snapshots in a store."""
ATTEMPTS = 3
"""How often something is done in a workspace whose box goes away each time."""

T = TypeVar("T")


def durable_workspace(
    settings: Settings,
    *,
    base: str | None = None,
    template: str = "coding-agent-python",
    policy: SnapshotPolicy | None = None,
) -> AbstractCapability[Any]:
    """Return what supplies an agent's workspace, with files that outlive the box and the process.

    Attach it beside `Durability()`. The agents of one flow run share the files, one agent run after the other; the
    tool calls of one response run one after the other too. What lies outside the working directory, and what still
    runs there, is gone with a box.

    Only boxes of ours have such files. Where `settings.workspace` names another workspace, that one is returned: its
    files are what its own place makes of them.

    Args:
        settings: What is configured.
        base: The key, in the flow's checkpoint store, of an uncompressed tar archive that the workspace begins with: a
            repository with its `.git`, say. None: it begins empty.
        template: The kind of box.
        policy: What belongs to the files.

    Raises:
        ConfigurationError: there is no such workspace, or it is none that could begin with `base`.
    """
    if settings.workspace == HANDS:
        return DurableHands(
            folder=settings.sandbox_folder, base=base, template=template, policy=policy or SnapshotPolicy()
        )
    if base is not None:
        raise ConfigurationError(
            f"TRIPTYCH_WORKSPACE={settings.workspace}: only a box of ours ({HANDS}) begins with files that are given"
        )
    return workspace_capability(settings)


@dataclass
class OpenWorkspace:
    """The workspace of an agent run that is under way, or about to be."""

    client: Client
    hands: RestoredHands
    is_under_way: bool = False


@dataclass(kw_only=True)
class DurableHands(AbstractCapability[Any]):
    """Supplies boxes, one after the other, as one workspace of the flow run; see `durable_workspace`."""

    folder: Path
    """The broker's."""
    template: str
    base: str | None
    policy: SnapshotPolicy = field(default_factory=SnapshotPolicy)

    def get_workspace(self, ctx: RunContext[Any], *, ref: WorkspaceRef | None) -> WorkspaceBackend | None:
        """Return the flow run's workspace; no box is made yet."""
        if ref is not None and ref != REF:
            return None
        execution = _required(current_execution())
        opened = execution.workspaces.get(ctx.run_id or "")
        if opened is None:
            client = Client(socket_path(self.folder), execution.flow_run_id)
            folder = f"{SNAPSHOTS}/{execution.flow_run_id}"
            files = Files(client, execution.store, folder=folder, base=self.base, policy=self.policy)
            opened = OpenWorkspace(client, RestoredHands(client, self.template, files, execution.files))
            execution.workspaces[ctx.run_id or ""] = opened
        return opened.hands

    async def wrap_run(self, ctx: RunContext[Any], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Keep the workspace for as long as the agent run lasts; its box ends with it, its files stay."""
        execution = _required(current_execution())
        opened = execution.workspaces.get(ctx.run_id or "")
        if opened is None:
            # The caller's own `workspace=` took its place.
            return await handler()
        if any(each.is_under_way for each in execution.workspaces.values()):
            raise ConfigurationError(
                "two agent runs of one flow run share its workspace's files: start the second one when the first has "
                "ended. An agent that a tool starts cannot have them (`Coder(sub_agents=False)`)"
            )
        if not execution.is_replay and not answers(self.folder):
            raise ConfigurationError(
                f"there is no sandbox for code that a model wrote: no broker answers in {self.folder}. `triptych up` "
                "starts one where a Docker Engine answers"
            )
        opened.is_under_way = True
        try:
            # Two at once would share files, and what one leaves would hold half of what the other does.
            with AbstractAgent.parallel_tool_call_execution_mode("sequential"):
                return await handler()
        finally:
            del execution.workspaces[ctx.run_id or ""]
            with anyio.CancelScope(shield=True):
                await opened.hands.discard()
                await opened.client.close()


async def with_files(
    execution: Execution,
    run_id: str | None,
    name: str,
    work: Callable[[], Awaitable[T]],
    *,
    may_repeat: Callable[[], bool],
) -> tuple[T, str | None]:
    """Do a step's work, and save what it leaves in the workspace of its agent run.

    Args:
        execution: This one.
        run_id: The agent run's.
        name: What a snapshot of the files is called.
        work: It may be called several times, each time with the files before it.
        may_repeat: Whether it may be called once more.

    Returns:
        What it gave, and the snapshot that holds the files; None where the agent run has no such workspace, and while
        its files are those it began with.

    Raises:
        SandboxUnavailable: the box went away each time, or the broker does not answer.
        SandboxLimitHit: the files are more than may be kept.
        CheckpointError: the files cannot be restored or saved.
    """
    opened = execution.workspaces.get(run_id or "")
    if opened is None:
        return await work(), None
    hands, why = opened.hands, "its box went away"
    for _ in range(ATTEMPTS):
        try:
            result = await work()
            # A tool may have made something else of that error.
            if not hands.is_lost:
                execution.files = await hands.save(name)
                return result, execution.files
        except (BoxLost, SandboxUnavailable) as error:
            why = str(error)
        except Exception:
            if not hands.is_lost:
                raise
        if not may_repeat():
            break
        await hands.settle()
        await require(UUID(execution.flow_run_id), execution.number)
    raise SandboxUnavailable(f"{name} cannot be done in its workspace: {why}")


async def go_on_from(execution: Execution, run_id: str | None, snapshot: str | None) -> None:
    """Have the workspace's files be those that a step of an agent run left which was taken before."""
    if snapshot is None:
        return
    execution.files = snapshot
    opened = execution.workspaces.get(run_id or "")
    if opened is not None:
        await opened.hands.go_on_from(snapshot)


def _required(execution: Execution | None) -> Execution:
    if execution is None:
        raise ConfigurationError(
            "an agent whose workspace has durable files was run outside a flow, where nothing would be kept. Run it in "
            "a function decorated with @flow, or give it `workspace_capability`"
        )
    return execution
