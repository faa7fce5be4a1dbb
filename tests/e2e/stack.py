"""The product as a user has it: `triptych up` in a home of its own, and commands against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import tenacity

PROJECT = Path(__file__).parents[2]
DEADLINE_SECONDS = 180.0

FoundT = TypeVar("FoundT")


def poll(what: str, look: Callable[[], FoundT | None], *, seconds: float = DEADLINE_SECONDS) -> FoundT:
    """Look until there is something; a state is waited for, never a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 503


@dataclass(frozen=True)
class Home:
    """A home for `triptych`, whether anything is up in it or not."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further environment variables."""

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "TRIPTYCH_HOME": str(self.folder),
            "TRIPTYCH_WITNESS": str(self.witness),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "COLUMNS": "200",
            **self.settings,
        }

    @property
    def witness(self) -> Path:
        return self.folder / "desk" / "witness.jsonl"

    @property
    def desk_url(self) -> str:
        return f"sqlite:///{self.folder / 'desk' / 'desk.sqlite'}"

    def run(self, *arguments: str, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "triptych", *arguments],
            cwd=PROJECT,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            # Ten runs at once take six minutes on two processors that do much else; pytest ends what hangs.
            timeout=4 * DEADLINE_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int | None = 0, **env: str) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code, **env).stdout)


@dataclass(frozen=True)
class Up(Home):
    """A home in which the stack is up."""

    api_url: str = ""

    def get(self, path: str) -> Any:
        return self._ask("GET", path).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", path, json=body).json()

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self._ask("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def send(self, path: str, body: Any) -> None:
        """Post what is answered with nothing."""
        self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the API; a server on SQLite answers 503 while its database is locked, and Prefect's client retries."""
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_busy),
            # A statement of the server's waits up to 60 s for a lock before that answer.
            stop=tenacity.stop_after_delay(200),
            wait=tenacity.wait_fixed(0.5),
        ):
            with attempt:
                user, _, password = self.settings.get("PREFECT_API_AUTH_STRING", "").partition(":")
                auth = (user, password) if user else None
                answer = httpx.request(method, f"{self.api_url}/{path}", timeout=120, auth=auth, **more)
                answer.raise_for_status()
                return answer
        raise AssertionError("unreachable")

    def flow_runs(self, **flow_run_filter: Any) -> list[dict[str, Any]]:
        return self.post("flow_runs/filter", {"flow_runs": flow_run_filter, "sort": "ID_DESC", "limit": 200})

    def state(self, flow_run_id: str) -> str:
        return self.get(f"flow_runs/{flow_run_id}")["state_name"]

    def wait_for(self, flow_run_id: str, *states: str, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """Poll until a run is in one of the states."""

        def look() -> dict[str, Any] | None:
            run = self.get(f"flow_runs/{flow_run_id}")
            return run if run["state_name"] in states else None

        return poll(f"flow run {flow_run_id} in {states}", look, seconds=seconds)
