"""Who is at the other end of the broker's socket: the kernel says it, not the caller."""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from triptych.sandbox.engine import LABEL, Engine

BRAIN = "triptych.brain"
"""The label of a container of a brain; its template sets it, beyond a deployment's reach."""
FLOW_RUN = "io.prefect.flow-run-id"
"""The label by which Prefect's Docker worker says which run a container is."""
HOST = "host"
"""The owner of what a process of this machine asks for without saying for whom."""
_PEER = struct.Struct("3i")
_CONTAINER = re.compile(r"[0-9a-f]{64}")


class Peer(NamedTuple):
    """A caller."""

    owner: str
    """Whose boxes it makes and reaches."""
    is_host: bool
    """Whether it is a process of this machine under the broker's own user, which may reach everybody's."""


class Stranger(Exception):
    """The caller may not have a box."""


async def identify(connection: socket.socket, claimed_owner: str | None, engine: Engine) -> Peer:
    """Tell who calls.

    A container of a brain is its flow run, whatever it says. A process of this machine under the broker's own user
    could do all that the broker can, and is believed. Everybody else is a stranger, containers of hands first of all.

    Raises:
        Stranger: see above.
        SandboxUnavailable: Docker does not say which container it is.
    """
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, user, _ = _PEER.unpack(packed)
    container = _container(pid)
    if container is None or container == _container(os.getpid()):
        if user not in (0, os.getuid()):
            raise Stranger(f"user {user} of this machine may not have a box")
        return Peer(claimed_owner or HOST, is_host=True)
    labels = await engine.labels(container) or {}
    run = labels.get(FLOW_RUN)
    if BRAIN not in labels or LABEL in labels or not run:
        raise Stranger(f"container {container[:12]} is not of a work pool that may have a box")
    return Peer(f"run:{run}", is_host=False)


def _container(pid: int) -> str | None:
    try:
        found = _CONTAINER.findall(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError as error:
        raise Stranger("the caller is gone already") from error
    return found[-1] if found else None
