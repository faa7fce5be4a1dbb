"""Runs in containers of their own, for the tests."""

from __future__ import annotations

import json
import subprocess
import textwrap
import uuid
from typing import Any

from tests.e2e.hands.boxes import docker
from tests.e2e.stack import Up, poll
from triptych.loop.witness import read
from triptych.runtime.witnessed import executed_again

REQUESTS = 5
"""Of a run with three lookups: the triage's, and the loop's."""


def start(
    up: Up, *, lookups: int = 3, job_variables: dict[str, Any] | None = None, ticket: dict[str, Any] | None = None
) -> str:
    """Start a run on the pool: lookups, then an answer."""
    look = {"name": "get_order_details", "arguments": {"order_id": "#T1001"}}
    asked = ticket or {"id": f"brain-{uuid.uuid4()}", "instruction": "What is in #T1001?", "actions": [look] * lookups}
    deployment = up.get("deployments/name/handle-ticket/handle-ticket-in-docker")
    body = {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": asked}, "job_variables": job_variables or {}}
    return up.post(f"deployments/{deployment['id']}/create_flow_run", body)["id"]


def containers(run: str) -> list[str]:
    """Return a run's containers, running or not."""
    return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=io.prefect.flow-run-id={run}")


def container(up: Up, run: str, *, asked: int = 1) -> str:
    """Return a run's container, once it has asked its model so often and the run goes on."""
    poll(f"request {asked}", lambda: requests(up, run) >= asked)
    (found,) = containers(run)
    return found


def inspect(found: str) -> dict[str, Any]:
    (looked,) = json.loads("\n".join(docker("inspect", found)))
    return looked


def requests(up: Up, run: str, event: str = "request.started") -> int:
    """How often a run has asked the model, by the witness."""
    lines = read(up.witness) if up.witness.exists() else []
    return sum(line.event == event and line.run.startswith(run) for line in lines)


def paid_again(up: Up, run: str) -> int:
    """How many of a run's steps were executed again although they had been completed, by the witness."""
    return executed_again(line for line in read(up.witness) if line.run.startswith(run))


AS_THE_LOOP = """
import glob, os
for process in glob.glob("/proc/[0-9]*"):
    with open(f"{process}/environ") as file:
        environment = dict(line.partition("=")[::2] for line in file.read().split("\\0") if line)
    if "TRIPTYCH_HOME" in environment:
        os.environ.update(environment)
"""


def inside(found: str, program: str, *arguments: str) -> Any:
    """Run a Python program beside the loop, with all that the loop has, and return the JSON that it prints."""
    done = subprocess.run(
        ["docker", "exec", found, "/opt/venv/bin/python", "-c", AS_THE_LOOP + textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nothing_is_left(run: str) -> None:
    """Wait until a run has no container."""
    poll("the end of its container", lambda: not containers(run))
