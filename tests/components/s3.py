"""A real S3-compatible server (`rclone serve s3`) on a loopback port, which can be stopped, killed and restarted."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from tests.components import require
from tests.components.processes import accepts_connections, free_port, stop_tree, wait_until_up


class S3Server:
    """One server over a folder; what it holds outlives `stop` and `kill`.

    Attributes:
        endpoint: `http://127.0.0.1:<port>`, the same after a restart.
        key: The access key id.
        secret: The secret access key.
        region: A region name; the server ignores it.
        folder: Where the objects lie, one folder a bucket. Read it to see what was stored; write through the API.
    """

    def __init__(self, rclone: Path, folder: Path) -> None:
        self._rclone = rclone
        self._port = free_port()
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.key = "triptych"
        self.secret = secrets.token_hex(16)
        self.region = "us-east-1"
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [self._rclone, "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{self._port}"]
        command += ["--auth-key", f"{self.key},{self.secret}", self.folder]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until_up(self._process, lambda: accepts_connections(self._port), self._log, timeout_seconds=20)

    def stop(self) -> None:
        """End it politely; connections are refused from here on."""
        if self._process is not None:
            stop_tree(self._process)
            self._process = None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop it if it runs, and start it again at the same place."""
        self.stop()
        self.start()

    def create_bucket(self, name: str | None = None) -> str:
        """Create a bucket and return its name; a new one when none is given."""
        bucket = name or f"bucket-{secrets.token_hex(4)}"
        client: Any = Session().create_client(  # pyright: ignore[reportUnknownMemberType]
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name=self.region,
        )
        client.create_bucket(Bucket=bucket)
        client.close()
        return bucket


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for the session. A test that stops it starts it again; for outages use `s3_server_of_its_own`."""
    server = S3Server(require("s3"), tmp_path_factory.mktemp("s3") / "objects")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_server_of_its_own(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server that a test may stop, kill and restart as it likes; ready in 0.1 s."""
    server = S3Server(require("s3"), tmp_path / "s3" / "objects")
    server.start()
    yield server
    server.stop()
