"""What `triptych up` asks of its Prefect server by plain HTTP.

This module must not import Prefect: Prefect reads its settings from the environment when it is imported, and `up` is
where that environment comes from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx

POOL = "triptych"
"""The work pool of this machine's own processes."""
BRAINS = "triptych-brains"
"""The Docker work pool; see `triptych.runtime.brains`."""
HOW_TO_BUILD = "docker build --tag triptych-brain --file deployments/brain/Dockerfile ."
HELD_KEYS = "approval-"
"""How the pause keys of our own waits for a person begin; see `triptych.runtime.approval.waiting`."""


def ask(method: str, url: str, body: Any = None, *, timeout: float = 30) -> httpx.Response:
    """Ask the server, as one of those that may: with the password that Prefect's own clients take from there."""
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    return httpx.request(method, url, json=body, timeout=timeout, auth=(user, password) if user else None)


def make_pools(api_url: str, concurrency: int) -> None:
    """Make the work pools, or set how many flow runs the first one runs at once.

    The pool of brains is paused until its template is in force: no worker makes a container that is not hardened.

    Raises:
        httpx.HTTPStatusError: the server refuses.
    """
    limit = {"concurrency_limit": concurrency}
    answer = ask("POST", f"{api_url}/work_pools/", {"name": POOL, "type": "process", **limit})
    if answer.status_code == 409:
        answer = ask("PATCH", f"{api_url}/work_pools/{POOL}", limit)
    answer.raise_for_status()
    answer = ask("POST", f"{api_url}/work_pools/", {"name": BRAINS, "type": "docker", "is_paused": True})
    if answer.status_code == 409:
        answer = ask("PATCH", f"{api_url}/work_pools/{BRAINS}", {"is_paused": True})
    answer.raise_for_status()


def free_orphans(api_url: str) -> None:
    """Schedule again what was under way when the last stack of this home went down.

    This server and its workers are ours and have just begun, so a run that says it is running has no process. Left
    so, it would fill its place in the pool for ever. Nor has one whose process held it while a person was asked: left
    so, nobody would be there to hear the answer.
    """
    running = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    held = {"type": {"any_": ["PAUSED"]}, "name": {"any_": ["Paused"]}}
    for state in (running, held):
        body = {"flow_runs": {"state": state}, "sort": "ID_DESC", "limit": 200}
        answer = ask("POST", f"{api_url}/flow_runs/filter", body)
        answer.raise_for_status()
        for run in answer.json():
            freed = _freed(run)
            if freed is not None:
                url = f"{api_url}/flow_runs/{run['id']}/set_state"
                ask("POST", url, {"state": freed, "force": True}).raise_for_status()


def _freed(run: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Return the state that follows for a run without its process; None for a pause that is a flow's own."""
    details = run["state"]["state_details"]
    if run["state_type"] == "PAUSED" and not (details["pause_key"] or "").startswith(HELD_KEYS):
        return None
    if run["state_type"] == "CANCELLING":
        return {"type": "CANCELLED", "message": "Its process is gone"}
    if run["deployment_id"] is None:
        # Nobody but its caller can run it again.
        return {"type": "CRASHED", "message": "Its process is gone"}
    return {"type": "SCHEDULED", "name": "Recovering", "message": "Goes on from its last checkpoint"}
