"""Processes that tests start: free ports, waiting with a deadline, and ending them by id."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(ready: Callable[[], bool], what: str, *, timeout_seconds: float, poll_seconds: float = 0.05) -> None:
    """Poll until `ready()`; raise `TimeoutError` naming `what` after the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(poll_seconds)


def wait_until_up(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, *, timeout_seconds: float
) -> None:
    """Wait until a server answers; when it dies or stays silent, end it and show the end of its log."""

    def answered() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        return ready()

    try:
        wait_until(answered, "the server's first answer", timeout_seconds=timeout_seconds)
    except (TimeoutError, RuntimeError) as error:
        stop_tree(process)
        raise RuntimeError(f"{error}; its log ends:\n{log.read_text(errors='replace')[-3000:]}") from error


def accepts_connections(port: int) -> bool:
    """Whether something listens on the loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def stop_tree(process: subprocess.Popen[bytes], *, grace_seconds: float = 10) -> None:
    """End a process and everything it started: politely first, then with SIGKILL."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        process.wait()
        return
    process.terminate()
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in family:
        # psutil compares the start time as well, so a reused id is not hit.
        if member.is_running():
            member.kill()
