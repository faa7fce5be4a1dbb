"""A real S3 server for a benchmark, where one is installed."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUCKET = "bench"


@dataclass(frozen=True)
class ObjectStore:
    """How to reach it."""

    endpoint_url: str
    key: str
    secret: str


@contextmanager
def object_store(folder: Path) -> Generator[ObjectStore | None]:
    """Serve a folder as a bucket with rclone for as long as the context lasts; None where rclone is not installed."""
    rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if rclone is None:
        yield None
        return
    (folder / BUCKET).mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    key, secret = "bench", secrets.token_hex(16)
    command = [rclone, "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{port}"]
    server = subprocess.Popen(
        [*command, "--auth-key", f"{key},{secret}", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield ObjectStore(f"http://127.0.0.1:{port}", key, secret)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the S3 server did not come up within 30 s")
