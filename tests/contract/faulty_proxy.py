"""A proxy in front of a real S3 server, which misbehaves on request: the server itself has no way to be overloaded."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Fault: TypeAlias = Literal["503", "429", "cut", "silence"]
"""Answer with that status; answer with half of the body; do not answer."""


class FaultyProxy:
    """Passes each request on, unless a fault is due; one connection carries one request.

    Attributes:
        endpoint: Its address.
        faults: What the next requests meet, first to last; emptied as they come.
        requests: How many requests have come.
    """

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint)
        self._target = (target.hostname or "", target.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.faults: list[Fault] = []
        self.requests = 0
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Wakes the thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for held in self._held:
            held.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.requests += 1
            fault = self.faults.pop(0) if self.faults else None
            with contextlib.suppress(OSError):
                self._answer(client, _message(client), fault)
            if fault == "silence":
                self._held.append(client)
            else:
                client.close()

    def _answer(self, client: socket.socket, request: bytes, fault: Fault | None) -> None:
        if fault == "silence":
            return
        if fault in ("503", "429"):
            client.sendall(f"HTTP/1.1 {fault} Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        header, end, body = request.partition(b"\r\n\r\n")
        # One request a connection, and no promise of a body: it is here already.
        lines = [line for line in header.split(b"\r\n") if not line.lower().startswith((b"expect:", b"connection:"))]
        with socket.create_connection(self._target, timeout=20) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + end + body)
            answer = b"".join(iter(lambda: server.recv(65536), b""))
        lost = len(answer.partition(b"\r\n\r\n")[2]) // 2 if fault == "cut" else 0
        client.sendall(answer[: len(answer) - lost])


def _message(source: socket.socket) -> bytes:
    """Read one HTTP request, which says how long it is."""
    source.settimeout(20)
    content = b""
    while b"\r\n\r\n" not in content:
        content += _some(source)
    header, _, body = content.partition(b"\r\n\r\n")
    if b"expect: 100-continue" in header.lower():
        source.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    lengths = [line for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < wanted:
        body += _some(source)
    return header + b"\r\n\r\n" + body


def _some(source: socket.socket) -> bytes:
    received = source.recv(65536)
    if not received:
        raise ConnectionResetError
    return received
