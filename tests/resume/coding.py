"""The flow of the coding run, with a switch that ends its process, its box, or both, at a named point."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic_ai import Agent
from pydantic_ai.workspaces import CommandResult
from pydantic_ai_harness.coder import Coder

from tests.durable_runs import tool_returns
from tests.resume.coding_run import BASE, END, HOLD, NOTES, PLAN, Kill
from tests.resume.kill_switch import die
from triptych.loop.models import ScriptedModel
from triptych.loop.witness import Witness
from triptych.runtime.durability import Durability
from triptych.runtime.journal import current_execution, step_scope
from triptych.runtime.results import PLAIN_JSON
from triptych.runtime.store import CheckpointStore
from triptych.runtime.workspace_files import durable_workspace
from triptych.sandbox.workspace import HandsBackend
from triptych.settings import Settings

TOLD: dict[str, Any] = json.loads(os.environ["CODING"])


@flow(
    name="coding",
    result_storage="checkpoint-store/coding",
    persist_result=True,
    result_serializer=PLAIN_JSON,
)
async def coding() -> dict[str, Any]:
    execution = current_execution()
    assert execution is not None
    if TOLD["kill"] and execution.number == 1:
        Switch(Kill(*TOLD["kill"])).watch()
    workspace = durable_workspace(Settings(home=Path(TOLD["home"])), base=BASE)
    model = ScriptedModel(PLAN, witness=Witness(TOLD["witness"]))
    agent = Agent(model, name="coder", capabilities=[Coder(sub_agents=False), workspace, Durability()])
    result = await agent.run("Mend the clock.")
    patch, _, _ = str(tool_returns(result.all_messages())[-1][1]).partition(END)
    return {"patch": patch, "files": execution.files, "output": result.output}


class Switch:
    """Ends what it is told to end, once."""

    def __init__(self, kill: Kill) -> None:
        self._kill = kill
        self._is_over = False
        self.waiting: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Look at every command, and at whatever is written to the store."""
        run, write, switch = HandsBackend.run, CheckpointStore.write, self

        async def watched_run(self: HandsBackend, *args: Any, **options: Any) -> CommandResult:
            scope = step_scope.get()
            if scope is not None and switch.is_at(scope.path, "inside"):
                await self.write_bytes(HOLD, b"")
                switch.waiting = asyncio.create_task(switch.strike_inside(self))
            return await run(self, *args, **options)

        async def watched_write(self: CheckpointStore, key: str, content: bytes) -> None:
            await write(self, key, content)
            for root, point in (("files/", "saved"), ("checkpoints/", "written")):
                if key.startswith(root) and switch.is_at(key, point):
                    await switch.strike()

        HandsBackend.run = watched_run
        CheckpointStore.write = watched_write

    def is_at(self, path: str, point: str) -> bool:
        """Whether this is where to strike; it is said once."""
        is_at = not self._is_over and point == self._kill.point and f"/{self._kill.step:04d}-tool-" in path
        self._is_over |= is_at
        return is_at

    async def strike_inside(self, backend: HandsBackend) -> None:
        """Strike when the command is half done."""
        half = f"half {self._kill.step}\n".encode()
        while True:
            with contextlib.suppress(FileNotFoundError):
                if (await backend.read_bytes(NOTES)).endswith(half):
                    break
            await asyncio.sleep(0.02)
        await self.strike()

    async def strike(self) -> None:
        """End what is to end."""
        if self._kill.what != "brain":
            execution = current_execution()
            assert execution is not None
            owner = f"label=triptych.owner={execution.flow_run_id}"
            found = await asyncio.to_thread(_docker, "ps", "--quiet", "--filter", owner)
            await asyncio.to_thread(_docker, "kill", *found)
        if self._kill.what != "box":
            die()


def _docker(*arguments: str) -> list[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.split()
