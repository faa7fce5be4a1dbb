"""Runs that ask for a refund, and what befalls them on the way: started, killed, looked at.

The refund can be paid out several times over, so that one that is done twice is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import psutil

from tests.e2e.dying_agent import DIES_AT, TOOL, Point
from tests.e2e.stack import PROJECT, Up, poll
from tests.e2e.waiting_runs import effects, ledger, resume
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.runtime.witnessed import executed_again
from triptych.samples import SAMPLES

Answer: TypeAlias = Mapping[str, Any]
Wait: TypeAlias = Literal["held", "suspended"]
Disturbance: TypeAlias = Literal["none", "asked", "unheard"] | Point
"""Where the run's process is killed: by itself, or from outside while it holds the run: not answered, or not aware."""

YES: Answer = {"approve": True, "name": "Mia"}
NO: Answer = {"name": "Max", "reason": "ask the customer first"}
EMPTY: Answer = {}
PATIENCE_SECONDS = 300.0
_ENDED = ("Completed", "Failed", "Cancelled")
_ORDER, _AMOUNT = "#T9999", 600.0


class Case(NamedTuple):
    """One run, and what becomes of it."""

    wait: Wait
    dies: Disturbance = "none"
    answer: Answer = YES
    name: str = ""
    """Where the rest is not enough to tell it from the others."""

    def __str__(self) -> str:
        answered = "yes" if self.answer.get("approve") else "no" if self.answer else "empty"
        return "-".join(filter(None, (self.wait, self.dies, answered, self.name)))

    @property
    def attempts(self) -> int:
        """How often it is asked at least: again only where the wait itself was cut short."""
        return 2 if self.dies in ("asked", "suspended") else 1

    @property
    def calls(self) -> Calls:
        if not self.answer.get("approve"):
            return Calls(0, 0, 0)
        if self.dies in ("started", "uncommitted", "applied"):
            return Calls(2, 1, 1)
        return Calls(2, 1, 2) if self.dies == "finished" else Calls(1, 1, 1)


class Calls(NamedTuple):
    """How often the call that was asked about was begun, had its effect, and returned."""

    started: int
    applied: int
    finished: int


class Run(NamedTuple):
    """The flow run of a case."""

    case: Case
    id: str


def deploy(up: Up, entrypoint: str, name: str, **more: Any) -> str:
    """Deploy a flow beside the product's deployments; gives the deployment's id."""
    return up.post(
        "deployments/",
        {
            "name": name,
            "flow_id": up.post("flows/", {"name": entrypoint.rpartition(":")[2].replace("_", "-")})["id"],
            "entrypoint": entrypoint,
            "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}}],
            "work_pool_name": "triptych",
            "tags": ["triptych"],
            **more,
        },
    )["id"]


def save_policy(up: Up, name: str, **policy: Any) -> None:
    """Save a policy beside the usual one, for the runs whose environment names it."""
    ours = up.get("block_types/slug/approval-policy/block_documents/name/approvals")
    kind = {key: ours[key] for key in ("block_type_id", "block_schema_id")}
    up.post("block_documents/", {"name": name, "data": {**ours["data"], **policy}, **kind})


def load_order(up: Up) -> None:
    """Put the order on the desk that all runs refund part of."""
    records = {name: json.loads((SAMPLES / f"{name}.json").read_text()) for name in ("users", "orders", "products")}
    order = json.loads(json.dumps(records["orders"]["#T1009"])) | {"order_id": _ORDER}
    order["payment_history"][0]["amount"] = 1_000_000.0
    records["orders"][_ORDER] = order
    with OrderDesk(up.desk_url) as desk:
        desk.load(records)


def start(up: Up, deployment: str, case: Case, *, policy: str = "") -> Run:
    """Start the run of a case under a policy, by default the one of that way of waiting."""
    actions = [
        {"name": "order_lookup", "arguments": {"order_id": _ORDER}},
        {"name": TOOL, "arguments": {"order_id": _ORDER, "amount": _AMOUNT}},
    ]
    ticket = {"id": str(case), "instruction": "The kayak leaks. I want 600 dollars back.", "actions": actions}
    run = up.post(
        f"deployments/{deployment}/create_flow_run",
        {
            "state": {"type": "SCHEDULED"},
            "parameters": {"ticket": ticket, "agent": "tests.e2e.dying_agent"},
            "job_variables": {"env": {"TRIPTYCH_POLICY_BLOCK": policy or case.wait, DIES_AT: case.dies}},
        },
    )
    return Run(case, run["id"])


def wait_until_asked(up: Up, run: Run, attempt: int = 1, *, wait: Wait | None = None) -> None:
    """Wait until a person is asked for the given time, or a later one."""

    def look() -> bool:
        state = up.get(f"flow_runs/{run.id}")["state"]
        assert state["name"] not in _ENDED, f"{run}: {state}"
        number, _, held = (state["state_details"]["pause_key"] or "").partition("-")[2].partition("-")[2].partition("-")
        is_held = (wait or run.case.wait) == "held"
        return bool(number) and int(number) >= attempt and bool(held) == is_held

    poll(f"{run} asks, attempt {attempt}", look, seconds=PATIENCE_SECONDS)


def wait_until_ended(up: Up, run: Run) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = up.get(f"flow_runs/{run.id}")
        return found if found["state_name"] in _ENDED else None

    return poll(f"{run} ends", look, seconds=PATIENCE_SECONDS)


def processes(run: Run) -> list[psutil.Process]:
    """Those that execute a flow run."""
    return flow_processes(run.id)


def flow_processes(flow_run_id: str) -> list[psutil.Process]:
    """Those that execute a flow run, by its id."""
    mine = ("PREFECT__FLOW_RUN_ID", flow_run_id)
    found = psutil.process_iter(["environ"])
    return [process for process in found if mine in dict(process.info["environ"] or {}).items()]


def kill(run: Run) -> None:
    """End a flow run's process with SIGKILL; there must be one."""
    (process,) = processes(run)
    process.kill()
    process.wait()


def states(up: Up, run: Run) -> list[str]:
    return [state["name"] for state in up.get(f"flow_run_states/?flow_run_id={run.id}")]


def answer(up: Up, run: Run, *, attempt: int = 1, wait: Wait | None = None) -> None:
    """Answer a run's request when it is asked for the given time."""

    def told() -> bool:
        wait_until_asked(up, run, attempt, wait=wait)
        # A worker that is late reports a crash twice, and the run is asked once more.
        return resume(up, run.id, run.case.answer)["status"] == "ACCEPT"

    poll(f"the answer to {run}", told, seconds=PATIENCE_SECONDS)


def check_books(up: Up, run: Run, *, cut_short: bool = False) -> None:
    """Hold what was decided, done and asked of the model against the case, by books that are not our checkpoints.

    Args:
        up: Where it ran.
        run: Whose books.
        cut_short: Whether a wait of it was, by the death of what it ran on.
    """
    case, ended = run.case, wait_until_ended(up, run)
    history = states(up, run)
    what = f"{case}, flow run {run.id}: {history}"
    assert ended["state_name"] == "Completed", what
    _, decision = ledger(up, run.id)
    wanted = ("approved", "Mia") if case.answer.get("approve") else ("denied", case.answer.get("name", "unidentified"))
    assert (decision.outcome, decision.claimed_name, decision.way) == (*wanted, "form"), what
    # Asked again where a wait was cut short, and only there.
    waits = [index for index, name in enumerate(history) if name in ("Paused", "Suspended")]
    assert decision.attempts == len(waits), what
    assert (len(waits) > 1) == (cut_short or case.attempts > 1), what
    assert all(history[index + 1] in ("Crashed", "Recovering") for index in waits[:-1]), what
    lines = [line for line in read(up.witness) if line.run.startswith(run.id)]
    about = [line.event for line in lines if line.name == TOOL]
    calls = Calls(*(about.count(event) for event in ("tool.started", "effect.applied", "tool.finished")))
    assert calls == case.calls, what
    done = [(effect.tool, effect.arguments["amount"]) for effect in effects(up, run.id)]
    assert done == [(TOOL, _AMOUNT)] * case.calls.applied, what
    # Nothing that the model had answered was asked of it again.
    assert executed_again(line for line in lines if line.event.startswith("request")) == 0, what
    # No wait counts as an execution: a flow's retries are left for faults.
    assert ended["run_count"] == _executions(history), what


def _executions(history: list[str]) -> int:
    """How often a run was executed, by its states: a Running that only ends a wait is none."""
    after_waits = [after for state, after in pairwise(history) if state in ("Paused", "Suspended")]
    return history.count("Running") - sum(after != "Crashed" for after in after_waits)
