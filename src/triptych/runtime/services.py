"""Processes that outlive the command that started them, and are told for certain from everybody else's.

This module must not import Prefect; see `stack`.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from triptych.errors import ConfigurationError

MARK = "TRIPTYCH_STACK"
"""The environment variable that every service carries. A process id is given again to others, and a start time moves
with the machine's clock; a variable of the process's own stays."""
STOP_SECONDS = 20.0


class Service(BaseModel):
    """One process that was started."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    mark: str
    """What its environment holds under `MARK`."""
    log: Path

    def process(self) -> psutil.Process | None:
        """Return the process, or None when it is gone; never another that has its id now."""
        try:
            process = psutil.Process(self.pid)
            ours = process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark
        except psutil.Error:
            # Gone, or somebody else's.
            return None
        return process if ours else None

    def end(self) -> bool:
        """End it, and whatever it started and did not take along: flow runs of a worker, say.

        Returns:
            Whether it was there.
        """
        process = self.process()
        if process is None:
            return False
        family = [process, *process.children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        _, alive = psutil.wait_procs([process], timeout=STOP_SECONDS)
        for left in [*alive, *family[1:]]:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        psutil.wait_procs(family, timeout=STOP_SECONDS)
        return True


def end_marked(mark: str) -> None:
    """End every process that carries the mark: a flow run's, say, whose worker was killed without it."""
    left: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def launch(name: str, command: list[str], *, folder: Path, log: Path, mark: str, env: Mapping[str, str]) -> Service:
    """Start a service that lives on when this process ends.

    Args:
        name: How it is called.
        command: What to run.
        folder: Where to run it.
        log: What it says is added here.
        mark: What to know it by.
        env: Its whole environment, but for the mark.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**env, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for whoever started it.
            start_new_session=True,
        )
    # Reaped when it ends, should this process still be there.
    threading.Thread(target=process.wait, daemon=True).start()
    service = Service(name=name, pid=process.pid, mark=mark, log=log)
    # For a moment after it has become the command, the kernel shows no environment of it: it would look gone.
    deadline = time.monotonic() + STOP_SECONDS
    while service.process() is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return service


@contextlib.contextmanager
def alone(file: Path) -> Generator[None]:
    """Hold a lock file, so that two commands do not start or stop the same services at once.

    Raises:
        ConfigurationError: another process holds it, or there can be no such file.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("a")
    except OSError as error:
        raise ConfigurationError(
            f"{file.parent} cannot be used to keep what is up ({error.strerror}); TRIPTYCH_HOME names another folder"
        ) from error
    with opened as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another `triptych up` or `triptych down` is at work in {file.parent}; wait for its end"
            ) from None
        yield


def is_free(port: int) -> bool:
    """Whether nothing listens at a port of this machine's own."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
