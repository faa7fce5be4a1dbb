"""Plays fix tasks as a flow does, without one: a box, the repository in it, the coding agent, the tests."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart
from pydantic_ai.tools import RunContext
from pydantic_ai.workspaces import CommandResult, WorkspaceBackend, WorkspaceRef

from tests.components.sandbox import Broker
from tests.e2e.hands.boxes import box
from triptych.fixes import Fix, FixTask
from triptych.loop.agents import coding
from triptych.loop.models import ScriptedModel, plan_for_fix
from triptych.loop.prompts import fix_prompt
from triptych.sandbox.box import Sandbox


class Played(NamedTuple):
    """What came of a task's plan."""

    before: CommandResult
    """Of the tests."""
    after: CommandResult
    changed: str
    """What `git status` says of the files afterwards."""
    said: str
    """What all tools returned."""
    fix: Fix


class InThisBox(AbstractCapability[None]):
    """Supplies a box that is there."""

    def __init__(self, made: Sandbox) -> None:
        self._made = made

    def get_workspace(self, ctx: RunContext[None], *, ref: WorkspaceRef | None) -> WorkspaceBackend:
        return self._made.backend


async def play(broker: Broker, task: FixTask) -> Played:
    """Play a task's plan in a box of its own."""
    async with box(broker, owner=task.name) as made:
        await made.clone(task.repository, ".", ref=task.base)
        before = await run_tests(made, task)
        agent = coding.build_agent(ScriptedModel(plan_for_fix(task)), capabilities=[InThisBox(made)])
        answer = await agent.run(fix_prompt(task))
        after = await run_tests(made, task)
        changed = await made.run("git status --short", shell=True)
        return Played(before, after, changed.stdout, returned(answer.all_messages()), answer.output)


async def run_tests(made: Sandbox, task: FixTask) -> CommandResult:
    return await made.run(task.test, shell=True, timeout_seconds=60)


def returned(messages: list[ModelMessage]) -> str:
    parts: list[Any] = [part for each in messages if isinstance(each, ModelRequest) for part in each.parts]
    return "\n".join(str(part.content) for part in parts if isinstance(part, ToolReturnPart))
