"""The way out of a box with egress: a port of its own loopback, carried to a unix socket that the broker listens at."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time

PORT = 3128
"""Where the proxy seems to be, for whatever runs in the box."""
MAX_CONNECTIONS = 64
MAX_PENDING = 256 * 1024
"""Bytes that wait for one reader; no more are read for it meanwhile."""
PIECE = 64 * 1024


class _End:
    """One end of a connection through the tunnel."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.other: _End = self
        self.pending = bytearray()
        """What is to be sent here."""
        self.is_over = False
        """Nothing more comes from here."""
        self.is_told = False
        """It knows that nothing more comes for it."""


class Tunnel:
    """Carries connections, all of them in one thread: a box has few processes and threads to give.

    What goes wrong with a connection ends that connection, and nothing else.

    Args:
        door: The path of the unix socket.
        port: Where to listen.
    """

    def __init__(self, door: str, port: int = PORT) -> None:
        self._door = door
        self._listener = socket.create_server(("127.0.0.1", port), backlog=MAX_CONNECTIONS)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._count = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.getsockname()[1]

    def start(self) -> None:
        """Carry for as long as this process lives."""
        threading.Thread(target=self._carry, daemon=True).start()

    def _carry(self) -> None:
        while True:
            for key, events in self._selector.select():
                end = key.data
                try:
                    if end is None:
                        self._accept()
                    elif end.connection.fileno() >= 0:
                        self._move(end, events)
                except (OSError, MemoryError):
                    if end is None:
                        time.sleep(0.1)
                    else:
                        self._close(end)

    def _accept(self) -> None:
        caller, _ = self._listener.accept()
        door = socket.socket(socket.AF_UNIX)
        try:
            caller.setblocking(False)
            # An answer comes in pieces; none of them waits for another's acknowledgement.
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            door.setblocking(False)
            if self._count >= MAX_CONNECTIONS:
                raise ConnectionRefusedError
            door.connect(self._door)
        except OSError:
            # Its own trouble, not the listener's.
            caller.close()
            door.close()
            return
        self._count += 1
        ends = _End(caller), _End(door)
        ends[0].other, ends[1].other = ends[1], ends[0]
        for end in ends:
            self._selector.register(end.connection, selectors.EVENT_READ, end)

    def _move(self, end: _End, events: int) -> None:
        if events & selectors.EVENT_READ:
            with contextlib.suppress(BlockingIOError):
                data = end.connection.recv(PIECE)
                end.other.pending += data
                end.is_over = not data
        if events & selectors.EVENT_WRITE:
            with contextlib.suppress(BlockingIOError):
                del end.pending[: end.connection.send(end.pending)]
        for each in (end, end.other):
            if each.other.is_over and not each.pending and not each.is_told:
                each.is_told = True
                each.connection.shutdown(socket.SHUT_WR)
        if end.is_told and end.other.is_told:
            self._close(end)
        else:
            self._look_out(end)
            self._look_out(end.other)

    def _look_out(self, end: _End) -> None:
        wanted = 0
        if not end.is_over and len(end.other.pending) < MAX_PENDING:
            wanted |= selectors.EVENT_READ
        if end.pending:
            wanted |= selectors.EVENT_WRITE
        known = self._selector.get_map().get(end.connection)
        if not wanted:
            if known is not None:
                self._selector.unregister(end.connection)
        elif known is None:
            self._selector.register(end.connection, wanted, end)
        elif known.events != wanted:
            self._selector.modify(end.connection, wanted, end)

    def _close(self, end: _End) -> None:
        self._count -= 1
        for each in (end, end.other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each.connection)
            each.connection.close()
