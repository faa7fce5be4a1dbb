"""Who is at the other end of one of the broker's sockets: the kernel says it, not the caller."""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from pathlib import Path
from socket import SO_PEERCRED, SOL_SOCKET
from typing import NamedTuple, Protocol

from triptych.sandbox.engine import Engine
from triptych.sandbox.labels import BRAIN, FLOW_RUN, HANDS

HOST = "host"
"""The owner of what a process of this machine asks for without saying for whom."""
MAX_CONNECTIONS = 256
"""Of one container, at one time and to all sockets together: no brain keeps the others out."""
_PEER = struct.Struct("3i")
_CONTAINER = re.compile(r"[0-9a-f]{64}")


class Socket(Protocol):
    """What is needed of one."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Return an option."""
        ...


class Caller(NamedTuple):
    """The process that has connected, as the kernel knows it."""

    user: int
    container: str | None


class Peer(NamedTuple):
    """A caller that may be served."""

    owner: str
    """Whose boxes it makes and reaches."""
    is_host: bool
    """Whether it is a process of this machine under the broker's own user, which may reach everybody's."""


class Stranger(Exception):
    """The caller may not have a box."""


class Callers:
    """Who is connected.

    A caller is looked up when it connects and never again: a process can hand its connection on and end, and its number
    is then somebody else's.
    """

    def __init__(self) -> None:
        self._connected: Counter[str] = Counter()

    def enter(self, connection: Socket) -> Caller:
        """Return who has connected just now.

        Raises:
            Stranger: it is gone already, or its container has too many connections.
        """
        pid, user, _ = _PEER.unpack(connection.getsockopt(SOL_SOCKET, SO_PEERCRED, _PEER.size))
        caller = Caller(user, _container(pid))
        if caller.container is not None:
            if self._connected[caller.container] >= MAX_CONNECTIONS:
                raise Stranger(f"container {caller.container[:12]} has {MAX_CONNECTIONS} connections, and no more")
            self._connected[caller.container] += 1
        return caller

    def leave(self, caller: Caller) -> None:
        """Forget a connection that has ended."""
        if caller.container is not None:
            self._connected[caller.container] -= 1


async def as_host(caller: Caller, claimed_owner: str | None, engine: Engine) -> Peer:
    """Take the caller for a process of this machine.

    One under the broker's own user could do all that the broker can, and is believed.

    Raises:
        Stranger: it runs under another user, or in a container that is not the broker's own.
    """
    if caller.container is not None and caller.container != _container(os.getpid()):
        raise Stranger(f"container {caller.container[:12]} has no business here")
    if caller.user not in (0, os.getuid()):
        raise Stranger(f"user {caller.user} of this machine may not have a box")
    return Peer(claimed_owner or HOST, is_host=True)


async def as_brain(caller: Caller, claimed_owner: str | None, engine: Engine) -> Peer:
    """Take the caller for a brain's container, which is its flow run, whatever it says.

    Raises:
        Stranger: it is no container, or not one of a brain of this broker's.
        SandboxUnavailable: Docker does not say which container it is.
    """
    if caller.container is None:
        raise Stranger("this socket is for brains in their containers")
    labels = await engine.labels(caller.container) or {}
    run = labels.get(FLOW_RUN)
    if labels.get(BRAIN) != engine.owner or HANDS in labels or not run:
        raise Stranger(f"container {caller.container[:12]} is not of a work pool of this broker's")
    return Peer(f"run:{run}", is_host=False)


def _container(pid: int) -> str | None:
    try:
        found = _CONTAINER.findall(Path(f"/proc/{pid}/cgroup").read_text())
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Stranger("the caller is gone already") from error
    except OSError as error:
        raise Stranger(f"it cannot be said who calls: {error}") from error
    return found[-1] if found else None
