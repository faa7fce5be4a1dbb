"""What an arm's processes use, looked at several times a second.

A process is the arm's by the mark in its environment; where the arm has containers, also by being in one.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.arms.protocol import MARK
from benchmarks.harness.containers import container_of

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
    idle_seconds: float
    idle_cpu_seconds: float
    idle_gib_seconds: float


class Sampler:
    """Watches the processes of one mark, in a thread of its own, while it is entered.

    Memory is the sum of proportional set sizes: pages that several processes share count once.

    Attributes:
        is_idle: Set by whoever knows whether all that is under way waits for a person: what is held and used meanwhile
            is counted apart as well.
    """

    def __init__(self, mark: str, *, with_containers: bool = False) -> None:
        """Remember what is the arm's; nothing is looked at yet.

        Args:
            mark: Of its processes.
            with_containers: Whether processes in containers are its own as well: in all of this machine's that start
                from now on. Their memory can be read by root alone.
        """
        self.is_idle = False
        self._with_containers = with_containers
        self._began = time.time()
        self._mark = mark
        self._strangers: set[tuple[int, float]] = set()
        self._cpu: dict[tuple[int, float], float] = {}
        self._at_first: dict[tuple[int, float], float] = {}
        self._peak = self._held = self._used = 0.0
        self._idle_seconds = self._idle_cpu = self._idle_held = 0.0
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
        idle = (self._idle_seconds, self._idle_cpu, self._idle_held / _GIB)
        return Usage(cpu, self._peak / _MIB, self._held / _GIB, *idle)

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
                if who not in self._cpu and not self._is_the_arms(process):
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
        before, self._used = self._used, sum(self._cpu.values())
        # Read last: what has ended being idle while it was looked at is not counted as idle.
        if self.is_idle:
            self._idle_seconds += seconds
            self._idle_cpu += self._used - before
            self._idle_held += total * seconds

    def _is_the_arms(self, process: psutil.Process) -> bool:
        if self._with_containers and process.create_time() >= self._began and container_of(process.pid) is not None:
            return True
        return process.environ().get(MARK) == self._mark


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
