"""The services of a stack, killed and started again over the same files, as a supervisor does."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from tests.components.processes import stop_tree
from tests.e2e.stack import Up, poll

PATIENCE_SECONDS = 300.0


def pids(up: Up) -> dict[str, int]:
    """The process of each service that `triptych up` started."""
    return {each["name"]: each["pid"] for each in json.loads((up.folder / "up.json").read_text())["services"]}


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    process.wait(30)


@contextmanager
def started_again(up: Up, service: str) -> Generator[None]:
    """Kill a service, and start the same one; `down` or the end of this ends it."""
    process = psutil.Process(pids(up)[service])
    command, env, folder = process.cmdline(), process.environ(), process.cwd()
    family = [process, *process.children(recursive=True)] if service == "server" else [process]
    for each in family:
        each.kill()
    psutil.wait_procs(family, timeout=30)
    if service == "server":
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{up.api_url}/health")
    with (up.folder / "logs" / f"{service}-again.log").open("ab") as log:
        again = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    # `down` ends it, and waits until it is reaped.
    threading.Thread(target=again.wait, daemon=True).start()
    try:
        poll("the server", lambda: _is_healthy(up), seconds=PATIENCE_SECONDS)
        yield
    finally:
        stop_tree(again)


def _is_healthy(up: Up) -> bool:
    try:
        return httpx.get(f"{up.api_url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False
