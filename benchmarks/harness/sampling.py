"""What an arm's processes use, looked at several times a second; a process is its by the mark in its environment."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.arms.protocol import MARK

LOOK_SECONDS = 0.25
"""A process that lives for less than this may be missed, and of each one up to so much of its end."""
SETTLED_SECONDS = 5.0
"""A process of this age has the environment that it keeps."""
_MIB, _GIB = 2**20, 2**30


class Usage(NamedTuple):
    """What was used since the sampling began."""

    cpu_seconds: float
    peak_memory_mib: float
    memory_gib_seconds: float
    idle_gib_seconds: float


class Sampler:
    """Watches the processes of one mark, in a thread of its own, while it is entered.

    Memory is the sum of proportional set sizes: pages that several processes share count once.

    Attributes:
        waiting_share: Set by whoever knows how many of the items under way wait for a person: that share of what is
            held meanwhile is held for them, and counted apart.
    """

    def __init__(self, mark: str) -> None:
        """Remember the mark; nothing is looked at yet."""
        self.waiting_share = 0.0
        self._mark = mark
        self._strangers: set[tuple[int, float]] = set()
        self._cpu: dict[tuple[int, float], float] = {}
        self._at_first: dict[tuple[int, float], float] = {}
        self._peak = self._held = self._idle = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._look(0.0)
        # What they had used before is not this trial's.
        self._at_first = dict(self._cpu)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def usage(self) -> Usage:
        """Return what was used so far; after the end, in all."""
        cpu = sum(used - self._at_first.get(process, 0.0) for process, used in self._cpu.items())
        return Usage(cpu, self._peak / _MIB, self._held / _GIB, self._idle / _GIB)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            now = time.monotonic()
            self._look(now - last)
            last = now

    def _look(self, seconds: float) -> None:
        total = 0
        for process in psutil.process_iter():
            try:
                who = (process.pid, process.create_time())
                if who in self._strangers:
                    continue
                if who not in self._cpu and process.environ().get(MARK) != self._mark:
                    # In the moment of its start a process has still its parent's environment.
                    if time.time() - process.create_time() > SETTLED_SECONDS:
                        self._strangers.add(who)
                    continue
                times = process.cpu_times()
                self._cpu[who] = times.user + times.system
                total += process.memory_full_info().pss
            except (psutil.Error, OSError):
                continue  # gone, or somebody else's
        self._peak = max(self._peak, float(total))
        self._held += total * seconds
        self._idle += total * seconds * self.waiting_share


def bytes_of(folder: Path) -> int:
    """Return the size of all files below a folder; 0 where there is none."""
    total = 0
    for file in folder.rglob("*"):
        try:
            if file.is_file() and not file.is_symlink():
                total += file.stat().st_size
        except OSError:
            continue  # removed meanwhile
    return total
