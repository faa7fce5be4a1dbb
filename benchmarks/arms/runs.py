"""Items as flow runs of one deployment, through Prefect's API: started once, looked at together, resumed.

What an arm's flow makes of a pause, and which runs are brought back, the arm says: see `Ways`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
from prefect.client.schemas.objects import FlowRun
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from benchmarks.arms.protocol import Job, Look

FRESH_SECONDS = 0.25
"""A listing of this age is asked for again."""
PATIENCE_SECONDS = 120.0
_PAGE = 200


class Ways(Protocol):
    """What is an arm's own about its runs."""

    def asks(self, run: FlowRun, api: Api) -> str | None:
        """Return which call a paused run asks about, as `told` puts it; None where it cannot be told now."""
        ...

    def is_brought_back(self, run: FlowRun) -> bool:
        """Whether a run that is at an end goes on all the same."""
        ...

    def form(self, approve: bool) -> Mapping[str, Any]:
        """Return what a person fills in."""
        ...


class Runs:
    """The runs of the deployment `handle`."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._api = Api("")
        self._deployment: str | None = None
        self._ids: dict[str, str] = {}
        """Flow run by item."""
        self._ended: dict[str, Look] = {}
        """By flow run."""
        self._open: dict[str, FlowRun] = {}
        self._asked: dict[tuple[str, str | None], str] = {}
        """The call, by flow run and pause."""
        self._listed_at = 0.0

    def connect(self, api_url: str) -> None:
        """Speak to this server from now on."""
        self._api.close()
        self._api = Api(api_url)
        self._listed_at = 0.0

    def close(self) -> None:
        """Let go of the connection."""
        self._api.close()

    def submit(self, job: Job) -> None:
        """Have the deployment run for an item, once however often this is tried."""
        if self._deployment is None:
            wanted = {"deployments": {"name": {"any_": ["handle"]}}}
            self._deployment = str(self._api.ask("POST", "/deployments/filter", wanted)[0]["id"])
        body = {
            "name": job.id,
            "state": {"type": "SCHEDULED"},
            "parameters": job._asdict(),
            "idempotency_key": job.id,
        }
        run = self._api.ask("POST", f"/deployments/{self._deployment}/create_flow_run", body)
        self._ids[job.id] = str(run["id"])
        self._listed_at = 0.0

    def look(self, job: Job) -> Look:
        """Say how an item's run stands, as of a moment ago: all that are open are asked about together."""
        id = self._ids.get(job.id)
        if id is None:
            return Look("unknown")
        if id not in self._ended and time.monotonic() - self._listed_at > FRESH_SECONDS:
            self._list()
        run = self._open.get(id)
        return self._ended.get(id) or (Look("running") if run is None else self._of(run))

    def decide(self, job: Job, approve: bool) -> None:
        """Resume an item's run with the form filled in.

        Raises:
            RuntimeError: the server does not take it, and the run still waits.
        """
        id = self._ids[job.id]
        answer = self._api.ask("POST", f"/flow_runs/{id}/resume", {"run_input": self._ways.form(approve)})
        self._listed_at = 0.0
        # Refused where it was taken before: its answer was lost, and it was tried again.
        if answer["status"] != "ACCEPT" and self._api.ask("GET", f"/flow_runs/{id}")["state_type"] == "PAUSED":
            raise RuntimeError(f"the decision about {job.id} is not taken: {answer}")

    def _list(self) -> None:
        wanted = [id for id in self._ids.values() if id not in self._ended]
        found: dict[str, FlowRun] = {}
        for at in range(0, len(wanted), _PAGE):
            body = {"flow_runs": {"id": {"any_": wanted[at : at + _PAGE]}}, "limit": _PAGE}
            for each in self._api.ask("POST", "/flow_runs/filter", body):
                run = FlowRun.model_validate(each)
                found[str(run.id)] = run
        for id, run in found.items():
            if (end := self._end_of(run)) is not None:
                self._ended[id] = end
        self._open = found
        self._listed_at = time.monotonic()

    def _of(self, run: FlowRun) -> Look:
        if run.state is None or not run.state.is_paused():
            return Look("running")
        about = (str(run.id), run.state.state_details.pause_key)
        if about not in self._asked:
            asks = self._ways.asks(run, self._api)
            if asks is None:
                return Look("running")
            self._asked[about] = asks
        return Look("waiting", asks=self._asked[about])

    def _end_of(self, run: FlowRun) -> Look | None:
        """Return what a run came to; None of one that goes on, by itself or because it is brought back."""
        state = run.state
        if state is None or not state.is_final() or self._ways.is_brought_back(run):
            return None
        if state.is_completed():
            return Look("done", answer=state.message)
        return Look("failed", reason=f"{state.name}: {state.message}")


class Api:
    """Prefect's API, which is asked again while it does not answer."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the server answers.

        Raises:
            httpx.HTTPError: it refuses, or did not answer for two minutes.
        """
        trying = Retrying(
            # A server on SQLite answers 503 while its database is locked.
            retry=retry_if_exception(_is_passing),
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_fixed(0.5),
            reraise=True,
        )
        return trying(self._send, method, path, body)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _send(self, method: str, path: str, body: Any) -> Any:
        answer = self._client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def told(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as arms tell it."""
    return f"{tool}({json.dumps(arguments, sort_keys=True)})"


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)
