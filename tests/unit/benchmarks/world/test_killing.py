"""The other end of a connection is found by its mark, and only what is alive and another's is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.arms.protocol import MARK
from benchmarks.world.killing import kill
from tests.unit.benchmarks.world.playing import DEADLINE_SECONDS, until

BOTH_ENDS = """
import asyncio, os, socket
from benchmarks.world.killing import Peer, find
listening = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listening.getsockname())
server, _ = listening.accept()
child = FORK
if child == 0:
    import time
    time.sleep(600)
found = asyncio.run(find(Peer(client.getsockname(), client.getpeername()), ["ours"]))
print("none" if found is None else "child" if found.pid == child else "itself")
if child:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(("fork", "found"), [("None", "none"), ("os.fork()", "child")])
def test_nobody_finds_himself(fork: str, found: str) -> None:
    # The child has the parent's sockets and its mark, so all that tells them apart is which of them looks.
    told = subprocess.run(
        [sys.executable, "-c", BOTH_ENDS.replace("FORK", fork)],
        env={**os.environ, MARK: "ours"},
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    assert told.stdout.strip() == found


def test_what_has_ended_is_not_killed_again() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as sleeping:
        process = psutil.Process(sleeping.pid)
        assert kill(process)
        until(lambda: process.status() == psutil.STATUS_ZOMBIE, "it did not end")
        assert not kill(process)
    assert not kill(process)
