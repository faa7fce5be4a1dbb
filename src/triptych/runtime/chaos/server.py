"""The stack's server as chaos asks it: through kills, and from outside, as a user would."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from triptych.runtime.chaos.counting import State, TicketRun
from triptych.runtime.chaos.tickets import AGENT, Case

_PATIENCE_SECONDS = 120.0
_TERMINAL = {"type": {"any_": ["COMPLETED", "FAILED", "CANCELLED"]}}
_PAGE = 200


class Server:
    """The API of one stack."""

    def __init__(self, api_url: str) -> None:
        """Remember where it is."""
        user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
        self._client = httpx.Client(base_url=api_url, timeout=60, auth=(user, password) if user else None)

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self._client.get("/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def stop_schedules(self) -> None:
        """Keep the project's inbox from being handled: its tickets are somebody's."""
        for deployment in self._ask("POST", "/deployments/filter", {}):
            if deployment["name"] != "handle-ticket":
                self._ask("PATCH", f"/deployments/{deployment['id']}", {"paused": True})

    def start_ticket(self, case: Case, key: str) -> str:
        """Start a ticket's run, once however often this is tried; returns its id."""
        body = {
            "name": f"ticket {case.ticket.id}",
            "state": {"type": "SCHEDULED"},
            "parameters": {"ticket": case.ticket.model_dump(mode="json"), "agent": AGENT},
            "idempotency_key": key,
        }
        return str(self._ask("POST", f"/deployments/{self._deployment_id}/create_flow_run", body)["id"])

    def ended(self) -> int | None:
        """Return how many tickets' runs are at their end; None while it does not answer."""
        body = {"flow_runs": {"state": _TERMINAL}, "deployments": {"name": {"any_": ["handle-ticket"]}}}
        try:
            answer = self._client.post("/flow_runs/count", json=body, timeout=10)
            return int(answer.raise_for_status().json())
        except httpx.HTTPError:
            return None

    def runs(self) -> dict[str, list[TicketRun]]:
        """Return every ticket's runs with their histories, by the ticket's id."""
        found: dict[str, list[TicketRun]] = {}
        for run in self._all_runs():
            states = self._ask("GET", f"/flow_run_states/?flow_run_id={run['id']}")
            history = tuple(
                State(state["type"], state["name"], state["message"] or "")
                for state in sorted(states, key=lambda state: state["timestamp"])
            )
            ticket = cast("Mapping[str, Any]", run["parameters"])["ticket"]["id"]
            found.setdefault(ticket, []).append(TicketRun(run["id"], history, run["run_count"]))
        return found

    def _all_runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            body = {
                "deployments": {"name": {"any_": ["handle-ticket"]}},
                "sort": "ID_DESC",
                "limit": _PAGE,
                "offset": len(found),
            }
            page = self._ask("POST", "/flow_runs/filter", body)
            found += page
            if len(page) < _PAGE:
                return found

    @property
    def _deployment_id(self) -> str:
        found = self._ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["handle-ticket"]}}})
        return str(found[0]["id"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        for attempt in Retrying(
            # A server on SQLite answers 503 while its database is locked.
            retry=retry_if_exception(_is_passing),
            stop=stop_after_delay(_PATIENCE_SECONDS),
            wait=wait_fixed(0.5),
            reraise=True,
        ):
            with attempt:
                answer = self._client.request(method, path, json=body)
                answer.raise_for_status()
                return answer.json() if answer.content else None
        raise AssertionError("unreachable")


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)
