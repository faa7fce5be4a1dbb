"""One attempt at one step of an item: its lines in the ledger, and the fault that meets it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import psutil

from benchmarks.contract import Fault, Kind
from benchmarks.world import killing
from benchmarks.world.course import Course
from benchmarks.world.exchange import Exchange
from benchmarks.world.faults import Faults, label
from benchmarks.world.job import WorldJob
from benchmarks.world.ledger import Ledger

HELD_SECONDS = 60.0
"""How long a connection is held that is never answered, if the caller does not give up before."""

When: TypeAlias = Literal["received", "done", "answered"]


class Stage(NamedTuple):
    """Everything about one trial."""

    job: WorldJob
    courses: dict[str, Course]
    """By item."""
    faults: Faults
    ledger: Ledger


class Attempt:
    """One attempt.

    Attributes:
        note: Writes a line of the ledger about it: `note(event=...)`.
        fault: What meets it; None: nothing does.
    """

    def __init__(
        self, stage: Stage, exchange: Exchange, course: Course, kind: Kind, step: int, *, key: str | None = None
    ) -> None:
        """Count it, and take the fault that is due."""
        self.fault: Fault | None = stage.faults.take(course.item.id, kind, step)
        self.note = partial(
            stage.ledger.write,
            item=course.item.id,
            kind=kind,
            step=step,
            attempt=course.begin(kind, step),
            fault=None if self.fault is None else label(self.fault),
            key=key,
        )
        self._stage = stage
        self._exchange = exchange
        self._victim: psutil.Process | None = None

    async def find_victim(self) -> None:
        """Where the caller is to be killed, look for its process, while the connection certainly is there."""
        if self.fault is None or self.fault.what != "kill":
            return
        self._victim = await killing.find(self._exchange.peer, self._stage.job.marks)
        if self._victim is None:
            self._miss(self.fault, None)

    async def reached(self, when: When) -> bool:
        """Do what the plan has for this moment.

        Returns:
            Whether that is the end of it: nothing more is to be sent.
        """
        fault = self.fault
        if fault is None or fault.when != when:
            return False
        if fault.what == "timeout":
            if when == "received":
                self.note(event="failed")
            await self._exchange.until_gone(HELD_SECONDS)
            return True
        if fault.what != "kill" or self._victim is None:
            return False
        if when == "answered":
            await asyncio.sleep(fault.seconds)
        if not killing.kill(self._victim):
            self._miss(fault, self._victim.pid)
            return False
        self.note(event="killed", pid=self._victim.pid)
        await self._exchange.until_gone(HELD_SECONDS)
        return True

    def lateness(self) -> float:
        """How late the answer comes by the plan, in seconds."""
        return self.fault.seconds if self.fault is not None and self.fault.what == "slow" else 0.0

    def _miss(self, fault: Fault, pid: int | None) -> None:
        self.note(event="missed", pid=pid)
        self._stage.faults.give_back(fault)
        self.fault = None
