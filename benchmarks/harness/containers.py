"""Containers as the harness sees them: those that an arm has left behind, and which processes are in one."""

from __future__ import annotations

import re
import time
from collections.abc import Set
from pathlib import Path

from triptych.sandbox.docker import containers, docker_lacks

LEFT_SECONDS = 90.0
"""How long after a trial's end a container may still be there. Triptych ends one 60 s after its owner has died."""
_POLL_SECONDS = 0.5
_ID = re.compile(r"[0-9a-f]{64}")


def present() -> Set[str] | None:
    """Return the ids of all containers of this machine; None: it has no Docker."""
    return containers() if docker_lacks() is None else None


def left_behind(before: Set[str]) -> int:
    """Return how many containers are there that were not before, once they had time to go.

    On a machine where somebody else starts containers meanwhile, theirs are counted too.

    Args:
        before: Those that were there.

    Raises:
        httpx.HTTPError: Docker does not answer.
    """
    deadline = time.monotonic() + LEFT_SECONDS
    while (left := containers() - before) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return len(left)


def container_of(pid: int) -> str | None:
    """Return the id of the container that a process is in; None: it is in none, or gone, or this is no Linux."""
    try:
        found = _ID.findall(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
    except OSError:
        return None
    # The innermost: this machine may be a container itself.
    return found[-1] if found else None
