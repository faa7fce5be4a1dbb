"""SIGKILL strikes the process that made the call, at the moment that the plan says, and no other process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.arms.protocol import MARK
from benchmarks.contract import Fault
from tests.unit.benchmarks.world.playing import (
    DEADLINE_SECONDS,
    LOOK,
    REFUND,
    TOOLS,
    Playing,
    called,
    item,
    opening,
    served,
    until,
)

OURS = f"the arm of test process {os.getpid()}"
ASKS = """
import json, sys, time
from openai import OpenAI
url, messages, tools = json.load(sys.stdin)
model = OpenAI(base_url=url + "/v1", api_key="any", max_retries=0)
with model.chat.completions.stream(model="any", messages=messages, tools=tools) as stream:
    stream.until_done()
print("answered", flush=True)
time.sleep(600)
"""
CALLS = """
import json, sys, time
from benchmarks import shop
url, name, arguments = json.load(sys.stdin)
shop.call(url + "/shop/a", name, arguments, idempotency_key="one", timeout_seconds=60)
print("answered", flush=True)
time.sleep(600)
"""


class Caller:
    """A process that makes one request or call, and then sleeps."""

    def __init__(self, program: str, given: object, mark: str | None) -> None:
        env = {name: value for name, value in os.environ.items() if name != MARK}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env if mark is None else {**env, MARK: mark},
            cwd=Path(__file__).parents[4],
        )
        assert self.process.stdin is not None
        with self.process.stdin as given_to:
            given_to.write(json.dumps(given).encode())

    def said(self) -> bytes:
        """What it said; it must have ended, or be about to say something."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def callers() -> Iterator[list[Caller]]:
    """Put processes in, so that they are ended."""
    callers: list[Caller] = []
    yield callers
    for caller in callers:
        caller.process.kill()
        caller.process.wait()
        assert caller.process.stdout is not None
        caller.process.stdout.close()


def a_kill(kind: str, when: str, seconds: float = 0.0) -> Fault:
    return Fault.model_validate(
        {"item": "a", "kind": kind, "step": 0, "what": "kill", "when": when, "seconds": seconds}
    )


@pytest.mark.parametrize(
    ("when", "events"),
    [
        ("received", ["started", "killed"]),
        ("done", ["started", "first_token", "finished", "killed"]),
        ("answered", ["started", "first_token", "finished", "killed"]),
    ],
)
def test_the_process_of_a_request_is_killed(
    world: Playing, callers: list[Caller], when: str, events: list[str]
) -> None:
    seconds = 1.0 if when == "answered" else 0.0
    world.play([item("a", LOOK)], [a_kill("request", when, seconds)], marks=["another", OURS])
    caller = Caller(ASKS, [world.url, opening("a"), TOOLS], OURS)
    callers.append(caller)
    assert caller.process.wait(timeout=DEADLINE_SECONDS) == -9
    assert world.events() == events
    killed = world.lines()[-1]
    assert (killed.pid, killed.fault) == (caller.process.pid, f"kill/{when}")
    if when == "answered":
        assert killed.at - world.lines()[-2].at >= seconds
    else:
        assert caller.said() == b""
    world.ask(opening("a"))
    assert world.events()[-1] == "finished"


@pytest.mark.parametrize(
    ("when", "events", "applied_then"),
    [
        ("received", ["started", "killed"], True),
        ("done", ["started", "applied", "finished", "killed"], False),
        ("answered", ["started", "applied", "finished", "killed"], False),
    ],
)
def test_the_process_of_a_call_is_killed(
    world: Playing, callers: list[Caller], when: str, events: list[str], applied_then: bool
) -> None:
    world.play([item("a", REFUND)], [a_kill("call", when)], marks=[OURS])
    world.ask(opening("a"))
    caller = Caller(CALLS, [world.url, REFUND.name, REFUND.arguments], OURS)
    callers.append(caller)
    assert caller.process.wait(timeout=DEADLINE_SECONDS) == -9
    assert world.events("call") == events
    assert caller.said() == b"" or when == "answered"
    world.call("a", REFUND, "one")
    assert ("applied" in world.events("call")[len(events) :]) is applied_then


@pytest.mark.parametrize("mark", [None, "the mark of another arm"])
@pytest.mark.parametrize("when", ["received", "done", "answered"])
def test_a_process_without_the_mark_is_not_killed(
    world: Playing, callers: list[Caller], mark: str | None, when: str
) -> None:
    world.play([item("a", LOOK)], [a_kill("request", when)], marks=[OURS])
    caller = Caller(ASKS, [world.url, opening("a"), TOOLS], mark)
    callers.append(caller)
    assert caller.said() == b"answered\n"
    assert caller.process.poll() is None
    assert world.events() == ["started", "missed", "first_token", "finished"]


def test_a_kill_that_was_missed_is_due_again(world: Playing, callers: list[Caller]) -> None:
    world.play([item("a", LOOK)], [a_kill("request", "done")], marks=[OURS])
    for _ in range(2):
        world.ask(opening("a"))  # by this process, which has no mark
    assert world.events().count("missed") == 2
    caller = Caller(ASKS, [world.url, opening("a"), TOOLS], OURS)
    callers.append(caller)
    assert caller.process.wait(timeout=DEADLINE_SECONDS) == -9
    world.ask(opening("a"))
    assert world.events()[-1] == "finished"


def test_a_process_that_ended_by_itself_is_missed(world: Playing, callers: list[Caller]) -> None:
    world.play([item("a")], [a_kill("request", "answered", 3)], marks=[OURS])
    caller = Caller(ASKS.replace("time.sleep(600)", ""), [world.url, opening("a"), TOOLS], OURS)
    callers.append(caller)
    assert caller.process.wait(timeout=DEADLINE_SECONDS) == 0
    assert world.wait_for("missed").pid == caller.process.pid


def test_the_world_itself_is_not_killed_whatever_its_mark(tmp_path: Path) -> None:
    with served(tmp_path, **os.environ, **{MARK: OURS}) as marked:
        marked.play([item("a", LOOK)], [a_kill("request", "received")], marks=[OURS])
        marked.ask(opening("a"))
        assert marked.events() == ["started", "missed", "first_token", "finished"]


def test_one_kill_leaves_the_others_streams_alone(world: Playing, callers: list[Caller]) -> None:
    pace = {"chunk_seconds": 0.1, "chunk_characters": 4}
    world.play([item("a", LOOK), item("b", LOOK)], [a_kill("request", "done")], marks=[OURS], pace=pace)
    killed = Caller(ASKS, [world.url, opening("a"), TOOLS], OURS)
    other = Caller(ASKS, [world.url, opening("b"), TOOLS], OURS)
    callers += [killed, other]
    assert killed.process.wait(timeout=DEADLINE_SECONDS) == -9
    assert other.said() == b"answered\n"
    until(lambda: [line.event for line in world.lines() if line.item == "b"][-1] == "finished", "b did not end")
    world.ask([*opening("a"), *called(LOOK, "whatever", "1")])
