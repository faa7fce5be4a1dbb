"""A world in a process of its own, for tests: give it a job, ask it as arms do, read what it wrote."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI
from openai.types.chat import ChatCompletion
from pydantic import TypeAdapter

from benchmarks import shop
from benchmarks.contract import MODEL, Action, Fault, FaultPlan, Item, LedgerLine

DEADLINE_SECONDS = 60.0
LOOK = Action(name="order_lookup", arguments={"order_id": "#T1009"})
REFUND = Action(name="refund", arguments={"order_id": "#T1009", "amount": 100}, changes=True)
TOOLS: list[Any] = [
    shop.ToolSpec("order_lookup", "Look up.", {"type": "object"}, changes=False).as_openai(),
    shop.ToolSpec("refund", "Pay back.", {"type": "object"}, changes=True).as_openai(),
]
_LINE = TypeAdapter(LedgerLine)


def item(id: str, *actions: Action, **more: Any) -> Item:
    """An item about the sample order #T1009."""
    return Item(
        id=id, workload="test", instruction=f"Ticket {id}: Help me.", actions=actions, answer="It is done.", **more
    )


def opening(id: str) -> list[Any]:
    """The messages with which a run of an item begins."""
    return [
        {"role": "system", "content": "Version 7.\nBe kind."},
        {"role": "user", "content": f"Ticket {id}: Help me."},
    ]


def called(action: Action, result: str, id: str) -> list[Any]:
    """The messages that a call adds."""
    function = {"name": action.name, "arguments": json.dumps(action.arguments)}
    return [
        {"role": "assistant", "content": "", "tool_calls": [{"id": id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": id, "content": result},
    ]


class Playing:
    """A world that is up.

    Attributes:
        url: Its base URL.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self._numbers = itertools.count()
        self._ledger = folder / "none"

    def play(self, items: Sequence[Item], faults: Sequence[Fault] = (), **job: Any) -> None:
        """Give it its next job."""
        name = f"{next(self._numbers)}.jsonl"
        plan = FaultPlan(name="test", seed=0, faults=tuple(faults))
        body = {
            "items": [each.model_dump(mode="json") for each in items],
            "plan": plan.model_dump(mode="json"),
            "ledger": name,
            **job,
        }
        answer = httpx.put(f"{self.url}/world/job", json=body, timeout=DEADLINE_SECONDS)
        assert answer.status_code == 200, answer.text
        self._ledger = self._folder / name

    def model(self) -> OpenAI:
        """A client of its model, which does not try again by itself."""
        return OpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0, timeout=DEADLINE_SECONDS)

    def ask(self, messages: list[Any], *, stream: bool = True, tools: list[Any] = TOOLS) -> ChatCompletion:
        """Ask the model, with OpenAI's own client."""
        with self.model() as model:
            if not stream:
                return model.chat.completions.create(model=MODEL, messages=messages, tools=tools)
            with model.chat.completions.stream(
                model=MODEL, messages=messages, tools=tools, stream_options={"include_usage": True}
            ) as events:
                return events.get_final_completion()

    def call(self, id: str, action: Action, key: str | None = None) -> str:
        """Call a tool, with the shop's own client."""
        return shop.call(
            f"{self.url}/shop/{id}",
            action.name,
            action.arguments,
            idempotency_key=key,
            timeout_seconds=DEADLINE_SECONDS,
        )

    def run(self, of: Item, keys: Mapping[int, str] | None = None) -> list[Any]:
        """Run an item to its end; return the messages."""
        messages = opening(of.id)
        while calls := (self.ask(messages).choices[0].message.tool_calls or []):
            step = (len(messages) - 2) // 2
            result = self.call(of.id, of.actions[step], (keys or {}).get(step))
            messages += called(of.actions[step], result, calls[0].id)
        return messages

    def lines(self) -> list[LedgerLine]:
        """The ledger so far."""
        return [_LINE.validate_json(line) for line in self._ledger.read_bytes().splitlines()]

    def events(self, kind: str | None = None) -> list[str]:
        """The events in the ledger so far, of requests or calls alone if a kind is named."""
        return [line.event for line in self.lines() if kind in (None, line.kind)]

    def wait_for(self, event: str) -> LedgerLine:
        """Wait until the ledger has a line of this event, and return it."""
        until(lambda: event in self.events(), f"the ledger has no {event}")
        return next(line for line in self.lines() if line.event == event)


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@contextmanager
def served(folder: Path, job: str = "", **env: str) -> Generator[Playing]:
    """Start a world, and end it.

    Args:
        folder: Of its ledgers.
        job: What comes on its standard input.
        **env: What its environment has in all; by default it has this process's.
    """
    ready = folder / "ready"
    command = [sys.executable, "-m", "benchmarks.world.server", "--folder", str(folder), "--ready-file", str(ready)]
    world = subprocess.Popen(command, stdin=subprocess.PIPE, env=env or None)
    try:
        assert world.stdin is not None
        with world.stdin as given:
            given.write(job.encode())
        until(lambda: ready.exists() or world.poll() is not None, "the world did not come up")
        assert world.poll() is None, "the world ended at once"
        yield Playing(ready.read_text(encoding="utf-8"), folder)
    finally:
        world.terminate()
        world.wait(timeout=DEADLINE_SECONDS)
