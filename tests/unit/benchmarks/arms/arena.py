"""The real world with a few items, an arm served in it, and what the ledger says of both."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Literal

import httpx

from benchmarks.arms import load_arm
from benchmarks.arms.processes import marked
from benchmarks.arms.protocol import Job, Look, Place, Served
from benchmarks.contract import Action, Fault, FaultPlan, Item, LedgerLine
from tests.components.processes import stop_tree, wait_until

PROJECT = Path(__file__).parents[4]
DEADLINE_SECONDS = 90.0
"""Of what takes a second or two on a quiet machine."""
FAST = {"first_token_seconds": 0.01, "chunk_seconds": 0.001, "chunk_characters": 20}
SLOW = {"first_token_seconds": 0.3, "chunk_seconds": 0.01, "chunk_characters": 20}
"""So slow that several items are under way at once."""


def refund_item(id: str) -> Item:
    """An item that looks an order up, gives back a part of it, and looks again: three calls, four requests."""
    look = Action(name="order_lookup", arguments={"order_id": "#T1002"})
    refund = Action(name="refund", arguments={"order_id": "#T1002", "amount": 20.0}, changes=True)
    return _item(id, (look, refund, look))


def approval_item(id: str, approval: Literal["approve", "deny"]) -> Item:
    """The same with an amount that a person has to be asked about."""
    look = Action(name="order_lookup", arguments={"order_id": "#T1009"})
    arguments = {"order_id": "#T1009", "amount": 600.0}
    return _item(id, (look, Action(name="refund", arguments=arguments, changes=True, approval=approval), look))


def _item(id: str, actions: tuple[Action, ...]) -> Item:
    text = f"Ticket {id}: please look into my order and give back what it says."
    return Item(id=id, workload="test", instruction=text, actions=actions, answer=f"All done for {id}.")


class World:
    """The world's process. It plays one trial after the other."""

    def __init__(self, folder: Path, *, with_code: bool = False) -> None:
        self.folder, self.url, self.with_code = folder, "", with_code
        self._trials = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def play(self, job: dict[str, Any]) -> Path:
        """Begin a trial; returns where its ledger is."""
        number = next(self._trials)
        job = {"tool_seconds": 0.0, "pace": FAST, **job, "ledger": f"ledger-{number}.jsonl"}
        if self._process is None:
            self._start(job)
        else:
            httpx.put(f"{self.url}/world/job", json=job, timeout=30).raise_for_status()
        return self.folder / str(job["ledger"])

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            stop_tree(self._process)

    def _start(self, job: dict[str, Any]) -> None:
        ready = self.folder / "ready"
        command = [sys.executable, "-m", "benchmarks.world.server"]
        command += ["--folder", str(self.folder), "--ready-file", str(ready)]
        command += ["--with-code"] if self.with_code else []
        with (self.folder / "world.log").open("ab") as log:
            self._process = process = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        assert process.stdin is not None
        process.stdin.write(httpx.Request("PUT", "http://world", json=job).content)
        process.stdin.close()

        def listens() -> bool:
            assert process.poll() is None, (self.folder / "world.log").read_text()[-3000:]
            return ready.exists() and ready.read_text().strip() != ""

        wait_until(listens, "the world", timeout_seconds=DEADLINE_SECONDS)
        self.url = ready.read_text().strip().rstrip("/")


class Arena:
    """One arm, served, in one trial."""

    def __init__(self, world: World, served: Served, place: Place, ledger: Path, items: Iterable[Item]) -> None:
        self.served, self.place = served, place
        self.items = {item.id: item for item in items}
        self._ledger = ledger
        self._jobs = {
            item.id: Job(id=item.id, instruction=item.instruction, shop_url=f"{world.url}/shop/{item.id}")
            for item in self.items.values()
        }

    def submit(self, *ids: str) -> None:
        """Hand items in; all of them if none is named."""
        for id in ids or self._jobs:
            self.served.submit(self._jobs[id])

    def look(self, id: str) -> Look:
        """How an item stands."""
        return self.served.look(self._jobs[id])

    def decide(self, id: str, approve: bool) -> None:
        """Be the person."""
        self.served.decide(self._jobs[id], approve)

    def until(self, id: str, state: str) -> Look:
        """Wait until an item is in a state, and return how it then stands. Another end of it is a failure."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (look := self.look(id)).state != state:
            assert look.state not in ("done", "failed"), look
            assert time.monotonic() < deadline, f"{id} is {look}, not {state}; logs:\n{self.logs()}"
            time.sleep(0.02)
        return look

    def done(self, *ids: str) -> None:
        """Wait until items are done, with their right answers; all of them if none is named."""
        for id in ids or self._jobs:
            look = self.until(id, "done")
            assert look.answer == self.items[id].answer

    def until_begun(self, id: str, kind: str, step: int) -> None:
        """Wait until a step of an item has been begun."""
        wait_until(
            lambda: bool(self.lines(id, kind=kind, step=step, event="started")),
            f"{kind} {step} of {id}",
            timeout_seconds=DEADLINE_SECONDS,
        )

    def versions(self, id: str) -> set[str | None]:
        """The versions of the instructions that an item's requests came with."""
        return {line.version for line in self.lines(id, kind="request", event="started")}

    def job(self, id: str) -> Job:
        """An item, as the arm sees it."""
        return self._jobs[id]

    def lines(self, id: str, **of: Any) -> list[LedgerLine]:
        """The ledger's lines of an item, those alone whose fields have these values."""
        if not self._ledger.exists():
            return []
        text = self._ledger.read_text()
        # The last line may be half written.
        lines = [LedgerLine.model_validate_json(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [
            line
            for line in lines
            if line.item == id and all(getattr(line, name) == value for name, value in of.items())
        ]

    def times(self, id: str, kind: str, event: str = "started") -> list[int]:
        """How often something happened to each of an item's requests, or calls, in order."""
        item = self.items[id]
        count = len(item.actions) + (kind == "request")
        return [len(self.lines(id, kind=kind, event=event, step=step)) for step in range(count)]

    def effects(self, id: str) -> int:
        """How many effects the shop made for an item."""
        return len(self.lines(id, event="applied"))

    def corrupted(self, id: str) -> list[LedgerLine]:
        """Requests of an item whose history was not right."""
        return [line for line in self.lines(id, kind="request", event="started") if line.wrong or line.missing]

    def logs(self) -> str:
        """The ends of the arm's logs."""
        logs = sorted((self.place.folder / "logs").rglob("*"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs if log.is_file())

    def processes(self) -> int:
        """How many processes the arm has."""
        return len(marked(self.place.mark))


Serve = Callable[..., "contextlib.AbstractContextManager[Arena]"]


@contextlib.contextmanager
def arena(
    world: World, folder: Path, arm: str, items: Iterable[Item], *faults: Fault, pace: dict[str, Any] | None = None
) -> Generator[Arena]:
    """Serve an arm for a trial with these items, under these faults; afterwards no process of it may be left."""
    mark = f"test-{folder.name}-{time.time_ns()}"
    items = tuple(items)
    plan = FaultPlan(name="test", seed=1, faults=faults)
    ledger = world.play(
        {
            "items": [item.model_dump(mode="json") for item in items],
            "plan": plan.model_dump(mode="json"),
            "pace": pace or FAST,
            "marks": [mark],
        }
    )
    place = Place(
        folder=folder / "arm",
        model_url=f"{world.url}/v1",
        mark=mark,
        python=sys.executable,
        project=PROJECT,
        instructions=folder / "instructions.txt",
        runs_code=world.with_code,
    )
    place.folder.mkdir()
    version(place, 1)
    with load_arm(arm).serve(place) as served:
        yield Arena(world, served, place, ledger, items)
    assert marked(mark) == []


def version(place: Place, number: int) -> None:
    """Write the agent's instructions in a version."""
    place.instructions.write_text(f"Version {number}.\nYou handle tickets of a shop. Use the tools.\n")
