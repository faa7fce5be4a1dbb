"""Finds the process at the other end of a connection, and kills it: only one that carries a mark of the trial."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from typing import NamedTuple, TypeAlias

import psutil

from benchmarks.arms.protocol import MARK

Address: TypeAlias = tuple[str, int]


class Peer(NamedTuple):
    """A connection to the world."""

    client: Address
    server: Address


async def find(peer: Peer, marks: Collection[str]) -> psutil.Process | None:
    """Return the marked process that holds a connection's other end; None if there is none, or it is another's.

    Args:
        peer: The connection. It has to be open still.
        marks: One of them has to be in the process's environment.
    """
    # All of the machine's processes are looked at, which takes long enough to delay other items' streams.
    return await asyncio.to_thread(_find, peer, frozenset(marks))


def kill(process: psutil.Process) -> bool:
    """Kill a process with SIGKILL; return whether it was still there."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.kill()  # psutil makes sure that the id was not given to another process meanwhile
    except psutil.NoSuchProcess:
        return False
    return True


def _find(peer: Peer, marks: frozenset[str]) -> psutil.Process | None:
    # Not process_iter, which remembers processes by their id, also where it has become another's.
    for pid in psutil.pids():
        if pid == os.getpid():
            continue  # whatever environment the world was started in
        try:
            process = psutil.Process(pid)
            if process.environ().get(MARK) in marks and _holds(process, peer):
                return process
        except psutil.Error:
            continue  # gone, or somebody else's
    return None


def _holds(process: psutil.Process, peer: Peer) -> bool:
    return any(
        tuple(each.laddr) == peer.client and tuple(each.raddr) == peer.server
        for each in process.net_connections(kind="tcp")
    )
