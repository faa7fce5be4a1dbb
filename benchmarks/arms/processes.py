"""An arm's own processes: started with its mark, started again when they die, and ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import psutil

from benchmarks.arms.protocol import MARK, Place

STOP_SECONDS = 90.0
"""How long a stopped process may take to end by itself: systemd's default (`DefaultTimeoutStopSec`)."""
RESTART_SECONDS = 0.1
"""How long after its death a process is started again: systemd's default (`RestartSec`)."""
READY_SECONDS = 120.0
_POLL_SECONDS = 0.02
_STARTING = threading.Lock()
"""Held to start a process, and to kill all there are: supervisors would start others faster than these are found."""
_QUIET = {
    # All that an arm may speak to is on this machine. Rivals' frameworks send traces and usage figures elsewhere.
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "DO_NOT_TRACK": "1",
}


def environment(place: Place, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what every process of an arm has for an environment: this process's, the mark, and what is `extra`."""
    return {**os.environ, **_QUIET, **(extra or {}), MARK: place.mark}


def launch(
    name: str,
    command: Sequence[str],
    place: Place,
    *,
    extra: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in the project's folder, with the arm's mark.

    Args:
        name: Of its log in the place's folder, to which is added.
        command: What to run.
        place: Whose it is.
        extra: What else its environment holds.
        stdin: As of `subprocess.Popen`.
        stdout: As of `subprocess.Popen`; None: it goes to the log.
    """
    logs = place.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log, _STARTING:
        return subprocess.Popen(
            list(command),
            cwd=place.project,
            env=environment(place, extra),
            stdin=stdin,
            stdout=log if stdout is None else stdout,
            stderr=log,
            # Ctrl-C in the terminal is for the harness, which then ends the arm.
            start_new_session=True,
        )


def marked(mark: str) -> list[psutil.Process]:
    """Return every process that carries the mark, whoever started it; not those that have ended and are not reaped."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_marked(mark: str) -> None:
    """SIGKILL every process that carries the mark, and whatever these start meanwhile, and return once all are gone.

    What is supervised is started again only after that.

    Raises:
        TimeoutError: one does not go.
    """
    deadline = time.monotonic() + STOP_SECONDS
    quiet = 0
    with _STARTING:
        # For a moment after a process has become its command, the kernel shows no environment of it: look twice.
        while quiet < 2:
            found = marked(mark)
            quiet = 0 if found else quiet + 1
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            # Not psutil's wait: it reaps children, whose `Popen` then takes them for having ended well.
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of {mark} do not end: {found}")
            time.sleep(_POLL_SECONDS)


def free_port() -> int:
    """Return a port of this machine's own that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], what: str, *, timeout_seconds: float = READY_SECONDS) -> None:
    """Poll until `ready()`.

    Raises:
        TimeoutError: it is not, in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(_POLL_SECONDS)


class Supervised:
    """One long-lived process that is started again whenever it ends, as systemd does with `Restart=always`."""

    def __init__(self, name: str, command: Sequence[str], place: Place, extra: Mapping[str, str] | None = None) -> None:
        self._name, self._command, self._place, self._extra = name, command, place, extra
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False

    @property
    def pid(self) -> int | None:
        """Of the process that is there now."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it, and watch over it."""
        with self._lock:
            self._wanted = True
            self._spawn()

    def stop(self) -> None:
        """End it by SIGTERM, and by SIGKILL if it takes too long; it is not started again until `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL; it is not started again until `start`. If somebody else kills it, it is."""
        self._end(signal.SIGKILL)

    def _end(self, by: signal.Signals) -> None:
        with self._lock:
            self._wanted = False
            process, self._process = self._process, None
        if process is not None:
            process.send_signal(by)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _spawn(self) -> None:
        process = launch(self._name, self._command, self._place, extra=self._extra)
        self._process = process
        threading.Thread(target=self._watch, args=(process,), name=f"watch {self._name}", daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        time.sleep(RESTART_SECONDS)
        with self._lock:
            # Another may have been started since, by `stop` and `start`.
            if self._wanted and self._process is process:
                self._spawn()
