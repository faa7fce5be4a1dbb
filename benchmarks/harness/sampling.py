"""What an arm's processes use, looked at several times a second.

A process is the arm's by the mark in its environment; where the arm has containers, also by being in one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Set
from contextlib import closing
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
_SQLITE = b"SQLite format 3\0"
"""How a database begins."""
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside one while it works: it has the size of the last burst of work, and nothing more in it."""


class Usage(NamedTuple):
    """What was used since the sampling began."""

    cpu_seconds: float
    peak_memory_mib: float
    memory_gib_seconds: float
    idle_seconds: float
    idle_cpu_seconds: float
    idle_gib_seconds: float
    other_cpu_seconds: float
    """By everything else on this machine."""


class Sampler:
    """Watches the processes of one mark, in a thread of its own, while it is entered.

    Memory is the sum of proportional set sizes: pages that several processes share count once. Those of a process in a
    container only root may read. To others it counts by its resident set, in which shared pages count in full.

    Attributes:
        is_idle: Set by whoever knows whether all that is under way waits for a person: what is held and used meanwhile
            is counted apart as well.
    """

    def __init__(self, mark: str, *, containers: Set[str] | None = None) -> None:
        """Remember what is the arm's; nothing is looked at yet.

        Args:
            mark: Of its processes.
            containers: The ids of those that are there already, and nobody's of the arm; a process in any other is its
                own as well. None: it has no containers.
        """
        self.is_idle = False
        # This process may be in one that is not this machine's Docker's.
        self._others = None if containers is None else containers | {container_of(os.getpid())}
        self._mark = mark
        self._strangers: set[tuple[int, float]] = set()
        self._cpu: dict[tuple[int, float], float] = {}
        self._at_first: dict[tuple[int, float], float] = {}
        self._peak = self._held = self._used = 0.0
        self._machine = self._machine_at_first = 0.0
        self._idle_seconds = self._idle_cpu = self._idle_held = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._look(0.0)
        # What they had used before is not this trial's.
        self._at_first = dict(self._cpu)
        self._machine_at_first = self._machine
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def usage(self) -> Usage:
        """Return what was used so far; after the end, in all."""
        cpu = sum(used - self._at_first.get(process, 0.0) for process, used in self._cpu.items())
        idle = (self._idle_seconds, self._idle_cpu, self._idle_held / _GIB)
        other = max(0.0, self._machine - self._machine_at_first - cpu)
        return Usage(cpu, self._peak / _MIB, self._held / _GIB, *idle, other)

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
                total += _memory(process)
            except (psutil.Error, OSError):
                continue  # gone, or somebody else's
        self._peak = max(self._peak, float(total))
        self._held += total * seconds
        before, self._used = self._used, sum(self._cpu.values())
        self._machine = _busy_seconds()
        # Read last: what has ended being idle while it was looked at is not counted as idle.
        if self.is_idle:
            self._idle_seconds += seconds
            self._idle_cpu += self._used - before
            self._idle_held += total * seconds

    def _is_the_arms(self, process: psutil.Process) -> bool:
        if self._others is not None and (container := container_of(process.pid)) and container not in self._others:
            return True
        return process.environ().get(MARK) == self._mark


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.AccessDenied:
        return process.memory_info().rss


def _busy_seconds() -> float:
    """Return for how long all of this machine's processors together have worked since it started."""
    times = psutil.cpu_times()._asdict()
    return sum(times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))


def bytes_of(folder: Path) -> int:
    """Return how much is kept in the files below a folder; 0 where there is none.

    A SQLite database counts by its pages, also those that are in its log so far: its files grow in steps and are used
    again, so that their sizes would tell when it was tidied up rather than what was kept.
    """
    total = 0
    for file in folder.rglob("*"):
        try:
            if file.is_file() and not file.is_symlink():
                total += _bytes_in(file)
        except OSError:
            continue  # removed meanwhile
    return total


def _bytes_in(file: Path) -> int:
    for ending in _BESIDE:
        if file.name.endswith(ending) and _is_database(file.with_name(file.name.removesuffix(ending))):
            return 0
    if _is_database(file):
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
                ((pages, size),) = database.execute("SELECT * FROM pragma_page_count, pragma_page_size")
                return int(pages) * int(size)
        except sqlite3.Error:
            pass  # locked, or half written when it was killed: by its size, as any other file
    return file.stat().st_size


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return content.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False
