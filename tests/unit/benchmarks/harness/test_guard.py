"""Whatever becomes of the harness, nothing of what it started is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.harness import PROJECT
from benchmarks.harness.guard import guarded
from tests.components.processes import stop_tree, wait_until

HARNESS = """
from benchmarks.harness.profiles import Profile, Spec
from benchmarks.harness.rounds import run_rounds
from triptych.settings import ScriptedSettings

never = ScriptedSettings(first_token_seconds=300.0)
print(list(run_rounds(Profile(("while_loop",), 1, (Spec("retail", "none", 2, pace=never),)), 1, print)))
"""
SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


def test_a_harness_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    harness = subprocess.Popen([sys.executable, "-c", HARNESS], cwd=PROJECT, env=environment)
    children: list[psutil.Process] = []
    try:
        started = psutil.Process(harness.pid)

        def family() -> list[str]:
            return [" ".join(process.cmdline()) for process in started.children(recursive=True)]

        wait_until(lambda: sum("arms.while_loop" in each for each in family()) == 2, "two runs", timeout_seconds=60)
        assert any("world.server" in each for each in family())
        children = started.children(recursive=True)
        harness.kill()
        harness.wait()
        wait_until(lambda: not any(map(is_there, children)), "their end", timeout_seconds=20)
        assert list(tmp_path.iterdir()) == []
    finally:
        stop_tree(harness)
        for child in filter(is_there, children):
            child.kill()


def is_there(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_is_left_at_the_end_goes_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with guarded(f"left-{tmp_path.name}") as folder:
        (folder / "state").mkdir()
        left = subprocess.Popen(SLEEP)
    try:
        assert left.wait(10) == -signal.SIGKILL
    finally:
        left.kill()
    assert list(tmp_path.iterdir()) == []
    with subprocess.Popen(SLEEP) as other:
        with guarded(f"left-{tmp_path.name}"):
            pass
        assert other.poll() is None, "it was not started meanwhile"
        other.kill()
