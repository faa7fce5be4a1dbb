"""A channel to be told: keeps the JSON that is posted to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Channel:
    """Listens on loopback.

    Attributes:
        url: Where to post.
        received: The bodies, in the order in which they came.
    """

    def __init__(self, url: str, received: list[Any]) -> None:
        self.url = url
        self.received = received


@contextmanager
def channel() -> Generator[Channel]:
    """Listen until the block ends."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Channel(f"http://127.0.0.1:{server.server_port}/", received)
        finally:
            server.shutdown()
            thread.join()
