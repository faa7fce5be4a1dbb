"""Services are known for certain: what `down` ends is what `up` started, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from triptych.errors import ConfigurationError
from triptych.runtime.services import Service, alone, launch

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STARTS_ANOTHER = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEPS!r})"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started = launch("sleeper", STARTS_ANOTHER, folder=tmp_path, log=tmp_path / "log", mark="ours", env=os.environ)
    yield started
    started.end()


def test_a_service_is_ended_with_what_it_started(service: Service) -> None:
    process = service.process()
    assert process is not None
    while not (family := process.children()):
        assert process.is_running()
    assert service.end()
    _, alive = psutil.wait_procs([process, *family], timeout=10)
    assert not alive
    assert service.process() is None
    assert not service.end()


def test_another_process_under_the_id_is_left_alone(service: Service) -> None:
    somebody = service.model_copy(update={"mark": "another stack's"})
    assert somebody.process() is None
    assert not somebody.end()
    assert service.process() is not None
    # And one that never had a mark.
    assert service.model_copy(update={"pid": os.getpid()}).process() is None


def test_two_commands_at_once_are_one_too_many(tmp_path: Path) -> None:
    lock = tmp_path / "home" / "up.lock"
    code = f"""if True:
        from pathlib import Path
        from triptych.runtime.services import alone
        with alone(Path({str(lock)!r})):
            print("held", flush=True)
            input()
    """
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError, match="at work in"), alone(lock):
            pass
        holder.kill()
    # A holder that died holds nothing.
    with alone(lock):
        pass
