"""A real Prefect server in a process of its own, with its own home and database."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import pytest

from tests.components.processes import free_port, stop_tree, wait_until_up


class PrefectServer:
    """A server that answers at `api_url`, and can be stopped and started again over the same database.

    Attributes:
        api_url: `http://127.0.0.1:<port>/api`, the same after a restart.
        home: Its `PREFECT_HOME`.
        log: The file its output goes to.
        env: The environment for processes that talk to it: this process's own, with Prefect's settings replaced.
    """

    def __init__(self, folder: Path, database_url: str | None, settings: Mapping[str, str]) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.home = folder / "prefect"
        self.log = folder / "server.log"
        self.api_url = f"http://127.0.0.1:{self._port}/api"
        self.home.mkdir(parents=True, exist_ok=True)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.env |= {
            "DO_NOT_TRACK": "1",
            "PREFECT_API_URL": self.api_url,
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        }
        database = database_url or f"sqlite+aiosqlite:///{self.home}/prefect.db"
        # Only the server gets these; a flow's process has no business with the database.
        self._server_env = {
            **self.env,
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            **settings,
        }

    def start(self) -> None:
        """Start it and wait until it answers: 3 to 9 s."""
        module = "triptych.runtime.prefect_server"
        command = [sys.executable, "-m", module, "start", "--host", "127.0.0.1", "--port", str(self._port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._server_env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until_up(self._process, self.is_healthy, self.log, timeout_seconds=90)

    def stop(self) -> None:
        """End it and what it started."""
        if self._process is not None:
            stop_tree(self._process)
            self._process = None

    def kill(self) -> None:
        """End it with SIGKILL, and what it started."""
        if self._process is not None:
            stop_tree(self._process, grace_seconds=0)
            self._process = None

    def is_healthy(self) -> bool:
        """Whether the API answers."""
        try:
            with urllib.request.urlopen(f"{self.api_url}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def __enter__(self) -> PrefectServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_prefect_server(
    folder: Path, database_url: str | None = None, *, settings: Mapping[str, str] | None = None
) -> PrefectServer:
    """Start a server whose files lie in `folder`; end it with `stop()`, or use it in a `with` block.

    Args:
        folder: For its home and its log.
        database_url: SQLAlchemy URL with an async driver; by default SQLite in the folder.
        settings: More `PREFECT_*` variables for the server's process.
    """
    server = PrefectServer(folder, database_url, settings or {})
    server.start()
    return server


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One server for the session; flows run in the test's own process report to it."""
    # Imported here, so that whoever runs the loop's tests alone does not wait a second for Prefect.
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    with (
        start_prefect_server(tmp_path_factory.mktemp("prefect")) as server,
        temporary_settings(
            {
                PREFECT_API_URL: server.api_url,
                PREFECT_HOME: server.home,
                # The thread that sends logs outlives the server, and keeps this process for a minute trying.
                PREFECT_LOGGING_TO_API_ENABLED: False,
            }
        ),
    ):
        yield server
