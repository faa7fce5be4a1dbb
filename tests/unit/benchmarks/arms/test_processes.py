"""A supervised process comes back when it dies and not when it is stopped; all that has the mark can be killed."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.arms import processes
from benchmarks.arms.processes import Supervised, kill_marked, launch, marked
from benchmarks.arms.protocol import MARK, Place
from tests.components.processes import wait_until
from tests.unit.benchmarks.arms.arena import PROJECT

SLEEP = "import time; time.sleep(300)"
FAMILY = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True); {SLEEP}"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "http://127.0.0.1:1/v1", str(tmp_path), sys.executable, PROJECT, tmp_path / "instructions")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_process_has_the_mark_and_speaks_to_nobody_outside(place: Place) -> None:
    process = launch("one", python(SLEEP), place)
    wait_until(lambda: len(marked(place.mark)) == 1, "its environment", timeout_seconds=30)
    environment = marked(place.mark)[0].environ()
    assert environment[MARK] == place.mark
    assert environment["LANGSMITH_TRACING"] == "false"
    kill_marked(place.mark)
    assert marked(place.mark) == []
    assert process.wait() == -signal.SIGKILL


def test_what_a_process_started_is_killed_as_well(place: Place) -> None:
    process = launch("family", python(FAMILY), place)
    wait_until(lambda: len(marked(place.mark)) == 2, "its child", timeout_seconds=30)
    kill_marked(place.mark)
    assert marked(place.mark) == []
    assert process.wait() == -signal.SIGKILL


def test_a_supervised_process_is_started_again_when_it_dies(place: Place) -> None:
    service = Supervised("service", python(SLEEP), place)
    service.start()
    first = service.pid
    assert first is not None
    psutil.Process(first).kill()
    wait_until(lambda: service.pid not in (None, first), "its successor", timeout_seconds=30)
    service.stop()
    assert service.pid is None
    assert marked(place.mark) == []


def test_one_that_is_stopped_and_started_is_there_once(place: Place) -> None:
    service = Supervised("service", python(SLEEP), place)
    service.start()
    service.stop()
    service.start()
    service.kill()
    service.start()
    # The watches over its predecessors have ended without starting any.
    wait_until(lambda: watches() == 1, "the end of their watches", timeout_seconds=30)
    assert [each.pid for each in marked(place.mark)] == [service.pid]
    service.kill()
    kill_marked(place.mark)


def test_one_that_does_not_heed_its_stop_is_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Supervised("service", python(DEAF), place)
    service.start()
    log = place.folder / "logs" / "service.log"
    wait_until(lambda: "deaf" in log.read_text(), "its ears closed", timeout_seconds=30)
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.2)
    service.stop()
    assert marked(place.mark) == []


def test_killing_all_ends_although_a_supervisor_starts_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(mark: str) -> list[psutil.Process]:
        # As on a busy machine: a supervisor is faster.
        time.sleep(0.3)
        return marked(mark)

    monkeypatch.setattr(processes, "marked", slow)
    monkeypatch.setattr(processes, "STOP_SECONDS", 10.0)
    service = Supervised("service", python(SLEEP), place)
    service.start()
    before = service.pid
    kill_marked(place.mark)
    wait_until(lambda: service.pid not in (None, before), "its successor", timeout_seconds=30)
    service.kill()
    kill_marked(place.mark)


def watches() -> int:
    """How many processes are watched over."""
    return sum(thread.name.startswith("watch") for thread in threading.enumerate())
