from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmarks.arms.protocol import MARK
from benchmarks.harness import sampling
from benchmarks.harness.sampling import Sampler, bytes_of

HELD_MIB = 64
BUSY = f"held = bytes(range(256)) * {HELD_MIB * 4096}\nprint('ready', flush=True)\nwhile True: pass"


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def busy(mark: str) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, MARK: mark}
    with subprocess.Popen([sys.executable, "-c", BUSY], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("busy")
def test_what_a_marked_process_uses_is_counted_and_nothing_else(mark: str) -> None:
    with Sampler(mark) as ours, Sampler("another") as nobodys:
        deadline = time.monotonic() + 30
        while ours.usage().cpu_seconds < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        busy = ours.usage()
    usage = ours.usage()
    assert usage.cpu_seconds >= 0.3
    assert usage.peak_memory_mib >= HELD_MIB
    assert usage.memory_gib_seconds > 0
    assert nobodys.usage()[:-1] == (0, 0, 0, 0, 0, 0)
    # To the other one all of it is somebody else's.
    assert nobodys.usage().other_cpu_seconds >= usage.other_cpu_seconds + 0.2
    assert (busy.idle_seconds, busy.idle_cpu_seconds, busy.idle_gib_seconds) == (0, 0, 0)


@pytest.mark.usefixtures("busy")
def test_what_is_used_while_all_wait_is_counted_apart_as_well(mark: str) -> None:
    with Sampler(mark) as sampler:
        deadline = time.monotonic() + 30
        while sampler.usage().cpu_seconds < 0.5 and time.monotonic() < deadline:
            time.sleep(0.05)
        sampler.is_idle = True
        while sampler.usage().idle_seconds < 0.5 and time.monotonic() < deadline:
            time.sleep(0.05)
        sampler.is_idle = False
        idle = sampler.usage()
        while sampler.usage().cpu_seconds < idle.cpu_seconds + 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
    usage = sampler.usage()
    assert usage[3:-1] == idle[3:-1], "what came after it is not idle"
    assert 0 < usage.idle_cpu_seconds < usage.cpu_seconds - 0.3, "nor is what came before"
    # It holds the same all the time.
    assert usage.idle_gib_seconds / usage.idle_seconds == pytest.approx(usage.peak_memory_mib / 1024, rel=0.2)
    assert usage.idle_gib_seconds < usage.memory_gib_seconds


@pytest.mark.usefixtures("busy")
def test_what_was_used_before_is_not_counted(mark: str) -> None:
    time.sleep(0.5)  # of its own time, so that there is something that must not be counted
    began = time.monotonic()
    with Sampler(mark) as sampler:
        pass
    assert sampler.usage().cpu_seconds <= time.monotonic() - began + 0.05


def test_the_bytes_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(bytes(100))
    (tmp_path / "other").write_bytes(bytes(11))
    (tmp_path / "link").symlink_to(tmp_path / "other")
    assert bytes_of(tmp_path) == 111
    assert bytes_of(tmp_path / "missing") == 0


def test_a_process_is_the_arms_by_its_container_if_that_was_not_there_before(
    busy: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing needs Docker: `tests/e2e/hands/test_benchmark_coding.py`."""
    here = {busy.pid: "box", os.getpid(): "mine"}
    monkeypatch.setattr(sampling, "container_of", here.get)

    def peak(containers: set[str] | None) -> float:
        with Sampler("nobody", containers=containers) as sampler:
            pass
        return sampler.usage().peak_memory_mib

    assert HELD_MIB <= peak({"another"}) < 2 * HELD_MIB
    assert peak({"box"}) == 0
    assert peak(None) == 0
    here[busy.pid] = "mine"
    assert peak({"another"}) == 0, "the harness may be in a container itself"


@pytest.mark.usefixtures("busy")
def test_memory_that_only_root_may_read_counts_by_what_anybody_may(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", denied)
    with Sampler(mark) as sampler:
        pass
    assert sampler.usage().peak_memory_mib >= HELD_MIB


def test_a_database_counts_by_its_pages_wherever_they_are_so_far(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "kept.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE kept (text)")
        database.commit()
        empty = bytes_of(tmp_path)

        def grown(by: int) -> int:
            for _ in range(by):
                database.execute("INSERT INTO kept VALUES (?)", ["x" * 1000])
                database.commit()
            return bytes_of(tmp_path) - empty

        first = grown(200)
        assert first == pytest.approx(200_000, rel=0.4)
        assert (tmp_path / "kept.db-wal").stat().st_size > 2 * first
        # Now that the log is used again from its beginning, no file grows.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert bytes_of(tmp_path) - empty == first
        assert grown(200) == pytest.approx(2 * first, rel=0.1)
    (tmp_path / "notes-wal").write_bytes(bytes(10))
    assert bytes_of(tmp_path) - empty == pytest.approx(2 * first + 10, rel=0.1)


def test_a_database_that_cannot_be_read_counts_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + bytes(984))
    assert bytes_of(tmp_path) == 1000
