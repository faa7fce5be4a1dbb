"""A coding agent that is a command: told line by line while it runs, ended for one of several reasons, and no wider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from pydantic_ai.workspaces import WorkspaceUnavailableError

from tests.components.sandbox import Broker
from tests.e2e.hands.boxes import Tried, box
from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.fixes import CommandAgent
from triptych.sandbox.box import Sandbox
from triptych.sandbox.commands import CommandEnded, run_command_agent

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]


@pytest.fixture
async def hands(broker: Broker) -> AsyncIterator[Sandbox]:
    async with box(broker) as made:
        yield made


def agent(script: str, *, idle_seconds: float = 30, total_seconds: float = 60, **more: tuple[str, ...]) -> CommandAgent:
    """A shell script that finds its instruction in `$1`."""
    argv = ("sh", "-c", script, "agent", "{instruction}")
    return CommandAgent(argv=argv, idle_seconds=idle_seconds, total_seconds=total_seconds, **more)


async def run(made: Sandbox, command: CommandAgent, **environment: str) -> tuple[CommandEnded, list[str]]:
    lines: list[str] = []
    ended = await run_command_agent(made.backend, command, "Mend it.", environment=environment, on_line=lines.append)
    return ended, lines


async def is_running(made: Sandbox, pid: str) -> bool:
    return (await made.run(["sh", "-c", f"kill -0 {pid}"])).exit_code == 0


async def test_it_is_told_what_to_do_and_works_in_the_folder(hands: Sandbox) -> None:
    command = agent('echo "$1" >told; echo "$MINE, $OTHER"; echo problem >&2; exit 3', env=("MINE",))
    ended, lines = await run(hands, command, MINE="no", OTHER="hidden")
    assert (ended.exit_code, ended.ended_by, ended.lines) == (3, "itself", 2)
    assert sorted(lines) == ["no, ", "problem"]
    assert await hands.workspace.read_text("told") == "Mend it.\n"


async def test_lines_are_told_as_they_come(hands: Sandbox) -> None:
    """The command goes on when it sees that its first line was heard."""
    heard: list[str] = []
    answering: list[asyncio.Task[None]] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line == "one":
            answering.append(asyncio.create_task(hands.workspace.write_text("heard", "")))

    command = agent("echo one; until [ -e heard ]; do sleep 0.05; done; echo two")
    ended = await run_command_agent(hands.backend, command, "x", environment={}, on_line=hear)
    assert (heard, ended.ended_by) == (["one", "two"], "itself")


@pytest.mark.parametrize(
    ("script", "ended_by"),
    [
        ("echo $$; sleep 3600", "idle"),
        ("echo $$; exec >&- 2>&-; sleep 3600", "idle"),
        ("echo $$; while :; do echo on; sleep 0.1; done", "total"),
        ("echo $$; yes", "output"),
    ],
)
async def test_it_is_ended_and_the_reason_told(hands: Sandbox, script: str, ended_by: str, tried: Tried) -> None:
    tried(f"a command agent that does not end: {script}")
    total = 60.0 if ended_by == "output" else 2.5
    ended, lines = await run(hands, agent(script, idle_seconds=1, total_seconds=total))
    assert ended.ended_by == ended_by
    assert ended.exit_code == 137
    assert not await is_running(hands, lines[0])


async def test_whoever_prints_now_and_then_is_not_idle(hands: Sandbox) -> None:
    ended, lines = await run(hands, agent("for i in 1 2 3 4 5; do printf .; sleep 0.4; done", idle_seconds=1))
    assert (ended.ended_by, lines) == ("itself", ["....."])
    assert ended.seconds >= 2


@pytest.mark.parametrize("how", ["cancelled", "an error of the caller's"])
async def test_a_caller_who_goes_away_ends_it(hands: Sandbox, how: str) -> None:
    pids: list[str] = []
    first = asyncio.Event()

    def hear(line: str) -> None:
        pids.append(line)
        first.set()
        if how != "cancelled":
            raise RuntimeError("the log is full")

    command = agent("echo $$; sleep 3600")
    running = asyncio.create_task(
        run_command_agent(hands.backend, command, "x", environment={}, on_line=hear),
    )
    await asyncio.wait_for(first.wait(), 30)
    if how == "cancelled":
        running.cancel()
    with pytest.raises(asyncio.CancelledError if how == "cancelled" else RuntimeError):
        await running
    async with asyncio.timeout(30):
        while await is_running(hands, pids[0]):
            await asyncio.sleep(0.05)


async def test_it_reaches_no_more_than_its_box(hands: Sandbox, tried: Tried) -> None:
    tried("a command agent that opens a connection, without a rule that allows it")
    program = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)"
    command = CommandAgent(argv=("python3", "-c", program, "{instruction}"))
    ended, lines = await run(hands, command)
    assert ended.exit_code == 1
    assert "Network is unreachable" in lines[-1]


async def test_what_cannot_be_run_is_told_before_it_is(hands: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="to be given MISSING: not set"):
        await run(hands, agent("true", env=("MISSING",)))
    with pytest.raises(ConfigurationError, match="131072 bytes"):
        await run_command_agent(hands.backend, agent("true"), "x" * 200_000, environment={}, on_line=lambda line: None)
    ended, lines = await run(hands, CommandAgent(argv=("no-such-agent", "{instruction}")))
    assert (ended.exit_code, lines) == (127, ["no-such-agent: No such file or directory"])


FORKS = """
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(3600)
    except OSError:
        print("full", flush=True)
"""


async def test_a_box_without_room_is_no_fault_of_the_agents(hands: Sandbox) -> None:
    filling = asyncio.Event()
    running = asyncio.create_task(
        run_command_agent(
            hands.backend,
            CommandAgent(argv=("python3", "-c", FORKS, "{instruction}")),
            "x",
            environment={},
            on_line=lambda line: filling.set(),
        )
    )
    await asyncio.wait_for(filling.wait(), 30)
    with pytest.raises(SandboxUnavailable):
        await run(hands, agent("true"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_box_that_ends_meanwhile_is_told(hands: Sandbox) -> None:
    heard = asyncio.Event()
    began = time.monotonic()
    running = asyncio.create_task(
        run_command_agent(
            hands.backend, agent("echo on; sleep 3600"), "x", environment={}, on_line=lambda line: heard.set()
        )
    )
    await asyncio.wait_for(heard.wait(), 30)
    await hands.backend.destroy()
    with pytest.raises(WorkspaceUnavailableError):
        await running
    assert time.monotonic() - began < 30
