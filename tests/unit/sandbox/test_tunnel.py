"""The tunnel of a box carries what it is given, whatever becomes of one connection."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.components.processes import wait_until
from triptych.sandbox.hands.tunnel import MAX_CONNECTIONS, Tunnel

Serve = Callable[[socket.socket], None]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Callable[[Serve], Tunnel]]:
    """Makes a tunnel to a unix socket, each of whose connections is served by a function in a thread of its own."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(100)

    def take(serve: Serve) -> None:
        def work(there: socket.socket) -> None:
            with there, contextlib.suppress(OSError):
                serve(there)

        while True:
            try:
                there, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=work, args=(there,), daemon=True).start()

    def make(serve: Serve) -> Tunnel:
        threading.Thread(target=take, args=(serve,), daemon=True).start()
        tunnel = Tunnel(str(tmp_path / "s"), port=0)
        tunnel.start()
        return tunnel

    yield make
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def read_all(there: socket.socket) -> bytes:
    return b"".join(iter(lambda: there.recv(65536), b""))


def call(tunnel: Tunnel) -> socket.socket:
    there = socket.create_connection(("127.0.0.1", tunnel.port), 10)
    there.settimeout(10)
    return there


def digest(there: socket.socket) -> None:
    """Answer, when the caller has said all, with the hash of it and as much again."""
    data = read_all(there)
    there.sendall(hashlib.sha256(data).digest() + data)


def test_it_carries_all_of_both_ways_to_either_end(door: Callable[[Serve], Tunnel]) -> None:
    tunnel = door(digest)
    data = bytes(range(256)) * 40_000
    with call(tunnel) as there:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        assert read_all(there) == hashlib.sha256(data).digest() + data


def test_one_that_does_not_read_holds_up_no_other(door: Callable[[Serve], Tunnel]) -> None:
    def flood(there: socket.socket) -> None:
        if there.recv(1) == b"f":
            while True:
                there.sendall(bytes(65536))
        there.sendall(b"answer")

    tunnel = door(flood)
    with call(tunnel) as lazy:
        lazy.sendall(b"f")
        for _ in range(20):
            with call(tunnel) as there:
                there.sendall(b"x")
                assert read_all(there) == b"answer"


def is_served(tunnel: Tunnel) -> bool:
    with call(tunnel) as there, contextlib.suppress(ConnectionError):
        there.sendall(b"y")
        return there.recv(1) == b"y"
    return False


def test_so_many_at_once_and_room_again_when_they_have_gone(door: Callable[[Serve], Tunnel]) -> None:
    tunnel = door(lambda there: there.sendall(there.recv(1)))
    with contextlib.ExitStack() as held:
        first = held.enter_context(call(tunnel))
        for _ in range(MAX_CONNECTIONS - 1):
            held.enter_context(call(tunnel))
        first.sendall(b"x")
        assert first.recv(2) == b"x"
        assert not is_served(tunnel)
    wait_until(lambda: is_served(tunnel), "room for one more", timeout_seconds=10)


def test_where_nobody_is_behind_it_a_connection_just_ends(tmp_path: Path) -> None:
    tunnel = Tunnel(str(tmp_path / "s"), port=0)
    tunnel.start()
    for _ in range(3):
        with call(tunnel) as there:
            assert there.recv(1) == b""
