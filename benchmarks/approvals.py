"""How long a run that waits for a person takes to go on once it is answered.

Runs of `handle-ticket` wait on a stack of the benchmark's own (server on SQLite, a process worker that looks every two
seconds), and are approved through the API, as the Prefect UI does. Suspended runs have no process meanwhile: one is
started for each. Held ones have kept theirs.

Both figures count from the answer. `to_running` ends where the server calls the run Running, by the server's clock in
the run's history: at once for a held run, whose process looks once a second. `to_tool` ends where the approved tool
begins, by the witness.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.records import Ticket
from triptych.runtime.project import find_project
from triptych.runtime.stack import Stack, start, stop
from triptych.samples import SAMPLES, TICKETS
from triptych.settings import Settings

HELD = 4
"""Runs held at once: as many as the deployment of `prefect.yaml` has at a time."""
DEADLINE_SECONDS = 300.0
COLUMNS = ("wait", "answered", "run", "to_running_seconds", "to_tool_seconds")


def run(*, arguments: Sequence[str], as_json: bool) -> None:
    """Measure, and print a row for each way of waiting and of being answered.

    Args:
        arguments: `--runs N` (default 10): how many wait suspended at once; a third of them is answered one by one,
            the others together.
        as_json: Print one JSON object: `rows` (`wait`, `answered`, `runs`, and min, median and max of both figures, in
            seconds) and `processes_while_suspended`.
    """
    parser = argparse.ArgumentParser(prog="triptych bench --suite approvals")
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    with _bench(console) as bench:
        suspended = bench.waiting(options.runs, "Suspended")
        processes = _processes_left(suspended)
        alone = suspended[: max(1, options.runs // 3)]
        rows = [row for each in alone for row in bench.answered("suspended", "alone", [each])]
        rows += bench.answered("suspended", "together", suspended[len(alone) :])
        with bench.holding():
            rows += bench.answered("held", "together", bench.waiting(HELD, "Paused"))
    result = {"rows": summary(pd.DataFrame(rows)), "processes_while_suspended": processes}
    if as_json:
        print(json.dumps(result))
    else:
        _print(result)


def summary(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Reduce runs to the printed figures.

    Args:
        runs: A row a run, with `COLUMNS`.

    Returns:
        A row for each `wait` and `answered`, in their order.
    """
    rows: list[dict[str, Any]] = []
    for (wait, answered), group in runs.groupby(["wait", "answered"], sort=False):
        figures = {
            name: {kind: round(float(value), 2) for kind, value in group[name].agg(["min", "median", "max"]).items()}
            for name in ("to_running_seconds", "to_tool_seconds")
        }
        rows.append({"wait": wait, "answered": answered, "runs": len(group), **figures})
    return rows


class _Bench:
    def __init__(self, stack: Stack, settings: Settings, console: Console) -> None:
        self._api = httpx.Client(base_url=stack.api_url, timeout=120)
        self._settings = settings
        self._console = console

    def waiting(self, count: int, state: str) -> list[str]:
        """Start runs of the large refund, and return their ids once all of them wait."""
        ticket = next(each for each in _tickets() if each.id == "big-refund").model_dump(mode="json")
        found = self._ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["handle-ticket"]}}})
        body = {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": ticket, "agent": "retail"}}
        with OrderDesk(self._settings.resolved_desk_url) as desk:
            desk.load(SAMPLES, reset=True)
        path = f"/deployments/{found[0]['id']}/create_flow_run"
        runs = [str(self._ask("POST", path, body)["id"]) for _ in range(count)]
        with self._console.status(f"until {count} runs are {state}"):
            for each in runs:
                self._wait_for(each, state)
        return runs

    def answered(self, wait: str, how: str, runs: list[str]) -> list[dict[str, Any]]:
        """Approve runs at once, and return a row for each when all of them are Completed."""
        with self._console.status(f"{len(runs)} {wait} runs go on"):
            for each in runs:
                self._ask("POST", f"/flow_runs/{each}/resume", {"run_input": {"approve": True, "name": "benchmark"}})
            for each in runs:
                self._wait_for(each, "Completed")
        return [{"wait": wait, "answered": how, "run": each, **self._figures(each)} for each in runs]

    @contextmanager
    def holding(self) -> Generator[None]:
        """Have runs hold their processes for as long as this takes."""
        document = self._ask("GET", "/block_types/slug/approval-policy/block_documents/name/approvals")
        self._ask("PATCH", f"/block_documents/{document['id']}", {"data": {"hold_for_seconds": 600}})
        yield

    def _figures(self, run: str) -> dict[str, float]:
        states = self._ask("GET", f"/flow_run_states/?flow_run_id={run}")
        history = sorted((datetime.fromisoformat(state["timestamp"]), state["type"]) for state in states)
        waits = max(number for number, (_, kind) in enumerate(history) if kind == "PAUSED")
        answered = history[waits + 1][0]
        running = next(when for when, kind in history[waits + 1 :] if kind == "RUNNING")
        assert self._settings.witness is not None
        began = [
            line.at
            for line in read(self._settings.witness)
            if line.run.startswith(run) and line.event == "tool.started" and line.at > answered
        ]
        return {
            "to_running_seconds": (running - answered).total_seconds(),
            "to_tool_seconds": (began[0] - answered).total_seconds(),
        }

    def _wait_for(self, run: str, state: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (now := self._ask("GET", f"/flow_runs/{run}")["state"])["name"] != state:
            # What crashed is brought back: under a worker that was refused for a locked database, say.
            if time.monotonic() > deadline or now["type"] == "FAILED":
                raise RuntimeError(f"run {run} is {now['name']}, not {state}: {now['message']}")
            time.sleep(0.25)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._api.request(method, path, json=body)
        # A server on SQLite answers so while its database is locked.
        while answer.status_code == 503:
            time.sleep(0.5)
            answer = self._api.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextmanager
def _bench(console: Console) -> Generator[_Bench]:
    folder = Path(tempfile.mkdtemp(prefix="triptych-bench-"))
    settings = Settings(
        home=folder, desk_url=f"sqlite:///{folder / 'desk.sqlite'}", witness=folder / "witness.jsonl", model="scripted"
    )
    extra = {
        "TRIPTYCH_DESK_URL": settings.resolved_desk_url,
        "TRIPTYCH_WITNESS": str(settings.witness),
        "TRIPTYCH_MODEL": settings.model,
    }
    try:
        with console.status("starting a server and a worker"):
            stack = start(settings, find_project(None), concurrency=HELD + 1, extra=extra)
        yield _Bench(stack, settings, console)
    finally:
        stop(settings)
        shutil.rmtree(folder, ignore_errors=True)


def _tickets() -> list[Ticket]:
    return [Ticket.model_validate_json(line) for line in TICKETS.read_text(encoding="utf-8").splitlines() if line]


def _processes_left(runs: Sequence[str]) -> int:
    """Count the processes of runs, once those that are about to end have had a minute for it."""
    wanted = [f"'PREFECT__FLOW_RUN_ID': '{run}'" for run in runs]
    deadline = time.monotonic() + 60
    while True:
        environments = [str(process.info["environ"]) for process in psutil.process_iter(["environ"])]
        left = sum(any(each in environment for each in wanted) for environment in environments)
        if left == 0 or time.monotonic() > deadline:
            return left
        time.sleep(0.5)


def _print(result: dict[str, Any]) -> None:
    table = Table(title="Seconds from the answer (min, median, max)", title_justify="left", title_style="bold")
    for column in ("wait", "answered", "runs", "to Running", "to the approved tool"):
        table.add_column(column)
    for row in result["rows"]:
        figures = [
            "  ".join(f"{value:.2f}" for value in row[name].values())
            for name in ("to_running_seconds", "to_tool_seconds")
        ]
        table.add_row(row["wait"], row["answered"], str(row["runs"]), *figures)
    console = Console()
    console.print(table)
    console.print(f"Processes of suspended runs: {result['processes_while_suspended']}")
