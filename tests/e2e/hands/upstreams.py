"""What a box with egress may reach, or not: HTTPS servers of the test's own, and their certificate authority."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psutil

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
"""Answers a request, whose body is given, in its own way."""


class Authority:
    """A certificate authority that nobody else knows.

    Args:
        folder: Where it keeps its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._make(self.certificate, self._key, "-addext", "basicConstraints=critical,CA:TRUE", "-subj", "/CN=Upstream")

    def context(self, *names: str) -> ssl.SSLContext:
        """Return the TLS of a server for these names and addresses, `DNS:...` and `IP:...`."""
        stem = names[0].replace(":", "-")
        certificate, key = self._folder / f"{stem}.pem", self._folder / f"{stem}.key"
        signed = ["-CA", str(self.certificate), "-CAkey", str(self._key)]
        alternative = f"subjectAltName={','.join(names)}"
        self._make(certificate, key, *signed, "-addext", alternative, "-subj", "/CN=upstream")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _make(self, certificate: Path, key: Path, *more: str) -> None:
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]
        command = ["openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(certificate), *more]
        subprocess.run(command, check=True, capture_output=True)


class Seen(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, header: str) -> list[str]:
        return [value for name, value in self.headers if name.lower() == header.lower()]


class Upstream:
    """A server that says what it was asked, and keeps it.

    Args:
        address: Where it listens.
        context: Its TLS; without one it speaks plain HTTP.
        port: The same, or any.
        answer: How it answers, where not as usual.
    """

    def __init__(
        self,
        address: str,
        context: ssl.SSLContext | None = None,
        *,
        port: int = 0,
        answer: Answer | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self.calls = 0
        self.answer = answer
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                upstream.calls += 1
                super().handle()

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                upstream.seen.append(Seen(self.command, self.path, self.headers.items(), body))
                if upstream.answer is not None:
                    upstream.answer(self, body)
                    return
                text = b"reached"
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((address, port), Handler)
        # What hangs up while its answer is being written is the test's own box.
        self._server.handle_error = lambda request, client_address: None
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def bridge() -> str:
    """Return the address of Docker's bridge, having looked that this machine has it."""
    cards = psutil.net_if_addrs()
    assert "docker0" in cards, "without the bridge this address would be somebody else's"
    return next(each.address for each in cards["docker0"] if "." in each.address)
