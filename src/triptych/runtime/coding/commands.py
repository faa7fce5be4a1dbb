"""A coding agent of the operator's own, as one step of a task's run: its output in the run's log, its files kept."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from prefect import get_run_logger

from triptych.fixes import FixTask
from triptych.loop.prompts import fix_prompt
from triptych.runtime.coding.once import once, this_execution
from triptych.runtime.coding.reports import Worked
from triptych.sandbox.commands import run_command_agent
from triptych.sandbox.restored import RestoredHands

_SHOWN_LINES = 40
_WHY = {
    "idle": "it printed nothing for {idle:g} s, and was ended",
    "total": "it was ended after {total:g} s",
    "output": "it was ended for what it printed: more than its box allows",
}


async def run_command(
    task: FixTask, open_hands: Callable[[str | None], AbstractAsyncContextManager[RestoredHands]]
) -> Worked:
    """Run a task's command agent in a box, once, and keep what it did to the files.

    A run that comes back while the command was running begins it again, with the files as they were before.

    Args:
        task: Whose command.
        open_hands: Gives a box with the files of a snapshot; None: those that the task begins with.

    Raises:
        ConfigurationError: a variable that the command is to be given is not set here.
        SandboxUnavailable: no box could be had.
    """
    command = task.command
    assert command is not None

    async def work() -> Worked:
        logger = get_run_logger()
        last: deque[str] = deque(maxlen=_SHOWN_LINES)

        def tell(line: str) -> None:
            last.append(line)
            logger.info("%s", line)

        async with open_hands(None) as hands:
            ended = await run_command_agent(hands, command, fix_prompt(task), environment=os.environ, on_line=tell)
            files = await hands.save(f"command.{this_execution().number}")
        why = _WHY.get(ended.ended_by, "").format(idle=command.idle_seconds, total=command.total_seconds)
        if not why and ended.exit_code != 0:
            why = f"it ended with {ended.exit_code}"
        printed = "\n".join(last)
        if why:
            return Worked(outcome="failed", summary=f"{command.argv[0]}: {why}\n{printed}", files=files)
        return Worked(outcome="fixed", summary=printed, files=files)

    return await once("run the command agent", Worked, work)
