from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.arms.protocol import MARK
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
    assert nobodys.usage() == (0, 0, 0, 0, 0, 0)
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
    assert usage[3:] == idle[3:], "what came after it is not idle"
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
