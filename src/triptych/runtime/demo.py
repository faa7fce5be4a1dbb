"""`triptych demo`: the product's main job before one's eyes, on a machine with no key, no Docker and no server.

Everything here only watches, apart from one SIGKILL: the tickets are handled by the deployed flows, and the killed run
is brought back by the worker's report and the recovery loop that `triptych up` starts too. This process does not import
Prefect; it looks at the API from outside, as a user would.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
from rich.console import Console
from rich.live import Live
from rich.prompt import Confirm
from rich.table import Table
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from triptych.errors import TriptychError
from triptych.loop.agents import load_agent
from triptych.loop.approvals import run_metadata
from triptych.loop.desk import OrderDesk
from triptych.loop.models import plan_for_ticket, resolve_model
from triptych.loop.prompts import ticket_prompt
from triptych.loop.witness import read
from triptych.records import ApprovalDecision, ApprovalRequest, Ticket, TicketReport, WitnessLine
from triptych.runtime.demo_closing import DemoResult, print_closing
from triptych.runtime.stack import Stack, environment, start, stop
from triptych.runtime.witnessed import executed_again
from triptych.samples import SAMPLES, TICKETS
from triptych.settings import ScriptedSettings, Settings

AGENT = "retail"
PACE = ScriptedSettings(first_token_seconds=0.3, chunk_seconds=0.005)
CONCURRENCY = 3
LOOK_SECONDS = 0.5
KILL_IN_REQUESTS = frozenset(f"request:{number}" for number in range(3, 9))
"""The run to be killed is the first that is found inside one of these model requests of its agent."""


def run_demo(project: Path, *, leave: bool, approve: bool | None, as_json: bool, console: Console) -> None:
    """Run the demo and print its closing table.

    Args:
        project: The folder with `prefect.yaml`.
        leave: End at once instead of leaving the server up until Ctrl-C.
        approve: How the refund that waits for a person is decided; None: the person at the terminal is asked, and
            where there is none it is approved.
        as_json: Print the closing table as one JSON object on standard output.
        console: Where everything else is shown.

    Raises:
        ConfigurationError: a service did not come up.
        TriptychError: a ticket was not handled, or the killed run did not come back.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="triptych-demo-"))
    settings = Settings(
        model="scripted",
        scripted=PACE,
        home=folder,
        desk_url=f"sqlite:///{folder / 'desk.sqlite'}",
        witness=folder / "witness.jsonl",
    )
    # Beside the server's start, which leaves a core idle.
    undisturbed = ThreadPoolExecutor(1).submit(lambda: asyncio.run(undisturbed_effects(folder, settings)))
    try:
        with OrderDesk(settings.resolved_desk_url) as desk:
            desk.load(SAMPLES)
        stack = start(
            settings,
            project,
            concurrency=CONCURRENCY,
            recover_options=("--poll-seconds", "1"),
            extra=_as_environment(settings),
            say=lambda line: console.print(line, style="dim", highlight=False),
        )
        if approve is None and not (console.is_terminal and sys.stdin.isatty()):
            approve = True
        show = _Show(settings, stack, console, approve)
        rows = [show.settled(row) for row in cast("list[dict[str, Any]]", show.handle(project)["rows"])]
        with OrderDesk(settings.resolved_desk_url) as desk:
            applied = len(desk.effects())
        result = DemoResult(
            tickets=len(rows),
            completed=sum(row["status"] == "completed" for row in rows),
            steps=sum(row["spending"]["steps"] for row in rows),
            steps_executed_again=executed_again(read(_witness(settings))),
            effects_applied=applied,
            # A call that was denied has no effect.
            effects_expected=undisturbed.result() - sum(each.outcome != "approved" for _, each in show.ledger()),
            kills=len(show.killed),
            approvals=len(show.ledger()),
            tokens=sum(row["spending"]["input_tokens"] + row["spending"]["output_tokens"] for row in rows),
            cost_usd=round(sum(row["spending"]["cost_usd"] for row in rows), 6),
            seconds=round(time.monotonic() - began, 1),
            ui_url=stack.ui_url,
        )
        if as_json:
            print(json.dumps(result.model_dump()))
        else:
            print_closing(console, result, rows, killed=show.killed, ledger=show.ledger(), leave=leave)
        if result.completed != result.tickets:
            raise TriptychError(f"only {result.completed} of {result.tickets} tickets were handled; see {stack.ui_url}")
        if not leave:
            console.print("\nThe server stays up. Ctrl-C ends it and removes all that the demo made.", style="bold")
            _wait_for_interrupt()
    finally:
        stop(settings)
        shutil.rmtree(folder, ignore_errors=True)


def _witness(settings: Settings) -> Path:
    assert settings.witness is not None
    return settings.witness


def _latest(lines: Sequence[WitnessLine]) -> list[WitnessLine]:
    """Return the last line of each conversation."""
    return list({line.run: line for line in lines}.values())


def _as_environment(settings: Settings) -> dict[str, str]:
    return {
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "TRIPTYCH_MODEL": settings.model,
        "TRIPTYCH_DESK_URL": settings.resolved_desk_url,
        "TRIPTYCH_WITNESS": str(settings.witness),
        "TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS": str(settings.scripted.first_token_seconds),
        "TRIPTYCH_SCRIPTED__CHUNK_SECONDS": str(settings.scripted.chunk_seconds),
    }


async def undisturbed_effects(folder: Path, settings: Settings) -> int:
    """Count the effects of the sample tickets when the bare loop handles them: no Prefect, no kill, its own desk."""
    module = load_agent(AGENT)
    calm = settings.model_copy(update={"desk_url": f"sqlite:///{folder / 'undisturbed.sqlite'}", "witness": None})
    with OrderDesk(calm.resolved_desk_url) as desk:
        desk.load(SAMPLES)
    for ticket in _tickets():
        with module.open_deps(calm) as deps:
            agent = module.build_agent(resolve_model("scripted", plan=plan_for_ticket(ticket)))
            await agent.run(
                ticket_prompt(ticket),
                deps=deps,
                conversation_id=ticket.id,
                usage_limits=module.LIMITS.usage_limits(),
                metadata=run_metadata(math.inf),
            )
    with OrderDesk(calm.resolved_desk_url) as desk:
        return len(desk.effects())


def _tickets() -> list[Ticket]:
    return [Ticket.model_validate_json(line) for line in TICKETS.read_text(encoding="utf-8").splitlines() if line]


@dataclass
class _Show:
    settings: Settings
    stack: Stack
    console: Console
    approve: bool | None
    """How calls that wait are decided while one watches; None: a person is asked when everything else is done."""
    asked: set[str] = field(default_factory=set[str])
    """Flow runs that asked a person."""
    killed: list[str] = field(default_factory=list[str])
    """Names of the runs whose process was killed."""

    def handle(self, project: Path) -> dict[str, Any]:
        """Run `triptych inbox`, show what happens, and kill one run's process."""
        command = [sys.executable, "-m", "triptych", "inbox", str(TICKETS), "--agent", AGENT, "--json"]
        env = {**os.environ, **environment(self.stack.api_url, self.stack.prefect_home)}
        # The display has the screen; the UI has the logs.
        env |= {**_as_environment(self.settings), "PREFECT_LOGGING_LEVEL": "ERROR"}
        with (self.settings.folder / "logs" / "inbox.log").open("w+", encoding="utf-8") as log:
            inbox = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                with Live(console=self.console, refresh_per_second=2, transient=True) as live:
                    while inbox.poll() is None:
                        runs = self._runs()
                        live.update(self._table(read(_witness(self.settings)), runs))
                        for run_id, (_, state) in runs.items():
                            if state == "Suspended" and self.approve is not None and run_id not in self.asked:
                                self._decide(run_id, approve=self.approve)
                        for _ in range(5):
                            self._kill_one(runs)
                            time.sleep(LOOK_SECONDS / 5)
            finally:
                inbox.kill()
                said, _ = inbox.communicate()
            log.seek(0)
            try:
                return cast("dict[str, Any]", json.loads(said))
            except ValueError:
                raise TriptychError(f"the inbox was not handled:\n{log.read().strip()}") from None

    def settled(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return an inbox's row; one that waits for a person with what became of it once it is decided."""
        if row["status"] != "waiting":
            return row
        run_id = row["flow_run_id"]
        if run_id not in self.asked:
            self._decide(run_id, approve=self.approve)
        while True:
            state = httpx.get(f"{self.stack.api_url}/flow_runs/{run_id}", timeout=30).json()["state"]
            if state["type"] in ("COMPLETED", "FAILED", "CANCELLED"):
                break
            time.sleep(LOOK_SECONDS)
        if state["type"] != "COMPLETED":
            return {**row, "status": "failed", "outcome": state["message"]}
        stored = self.settings.folder / "checkpoints" / "results" / state["data"]["storage_key"]
        report = TicketReport.model_validate_json(stored.read_bytes())
        outcome = report.resolution.outcome if report.resolution is not None else ""
        return {
            **row,
            "status": "completed",
            "outcome": outcome,
            "spending": report.spending.model_dump(),
            "duration_seconds": report.duration_seconds,
        }

    def _decide(self, run_id: str, *, approve: bool | None) -> None:
        """Show what a person is asked, and answer as they say: by resuming the run, as in the Prefect UI."""
        url = f"{self.stack.api_url}/flow_runs/{run_id}"
        key = httpx.get(url, timeout=30).json()["state"]["state_details"]["pause_key"]
        request_id = key.split("-")[1]
        stored = self._approvals / run_id / request_id / "request.json"
        request = ApprovalRequest.model_validate_json(stored.read_bytes())
        amount = "an unknown amount" if request.amount_usd is None else f"{request.amount_usd:.2f} USD"
        self.console.print(
            f"A person is asked: {request.tool} would pay out {amount}. The run is suspended; it has no process.\n"
            f"  {self.stack.ui_url}/runs/flow-run/{run_id}   (Resume)\n"
            f"  TRIPTYCH_HOME={self.settings.folder} triptych approvals approve {request_id} --name YOU",
            style="bold yellow",
            highlight=False,
            soft_wrap=True,
        )
        chosen = Confirm.ask("Approve it?", console=self.console, default=False) if approve is None else approve
        answer = {"approve": chosen, "name": "the demo" if approve is not None else "you, at the terminal"}
        # A server on SQLite answers 503 while its database is locked.
        for attempt in Retrying(
            retry=retry_if_exception_type(httpx.HTTPError),
            stop=stop_after_delay(60),
            wait=wait_fixed(0.5),
            reraise=True,
        ):
            with attempt:
                httpx.post(f"{url}/resume", json={"run_input": answer}, timeout=30).raise_for_status()
        # What holds is in the ledger: somebody in the UI may have been first.
        self.asked.add(run_id)

    @property
    def _approvals(self) -> Path:
        return self.settings.folder / "checkpoints" / "approvals"

    def ledger(self) -> list[tuple[ApprovalRequest, ApprovalDecision]]:
        """Return what was asked and decided."""
        return [
            (
                ApprovalRequest.model_validate_json(file.with_name("request.json").read_bytes()),
                ApprovalDecision.model_validate_json(file.read_bytes()),
            )
            for file in sorted(self._approvals.glob("*/*/decision.json"))
        ]

    def _runs(self) -> dict[str, tuple[str, str]]:
        """Return name and state of every ticket's flow run, by id."""
        body = {"flows": {"name": {"any_": ["handle-ticket"]}}, "limit": 200, "offset": 0, "sort": "ID_DESC"}
        try:
            answer = httpx.post(f"{self.stack.api_url}/flow_runs/filter", json=body, timeout=10)
            answer.raise_for_status()
        except httpx.HTTPError:
            return {}  # a busy server; the next look comes soon
        return {run["id"]: (run["name"], run["state_name"] or "") for run in answer.json()}

    def _kill_one(self, runs: dict[str, tuple[str, str]]) -> None:
        """Kill the first process that is found inside a late enough model request."""
        if self.killed:
            return
        for line in _latest(read(_witness(self.settings))):
            if line.event != "request.started" or line.key not in KILL_IN_REQUESTS or not self._is_ours(line.pid):
                continue
            # Held still for a moment: a kill between a response and its checkpoint would be another story.
            os.kill(line.pid, signal.SIGSTOP)
            if line not in _latest(read(_witness(self.settings))):
                os.kill(line.pid, signal.SIGCONT)
                continue
            os.kill(line.pid, signal.SIGKILL)
            name = runs.get(line.run.partition(":")[0], ("a ticket", ""))[0]
            self.killed.append(name)
            self.console.print(
                f"SIGKILL: process {line.pid} of '{name}' died inside model request {line.key.partition(':')[2]}",
                style="bold red",
                highlight=False,
            )
            return

    def _is_ours(self, pid: int) -> bool:
        """Whether a process was started by our worker and is still there."""
        worker = next(service for service in self.stack.services if service.name == "worker")
        try:
            return any(parent.pid == worker.pid for parent in psutil.Process(pid).parents())
        except psutil.NoSuchProcess:
            return False

    def _table(self, lines: Sequence[WitnessLine], runs: dict[str, tuple[str, str]]) -> Table:
        table = Table(title="Tickets", title_justify="left", title_style="bold")
        for column in ("ticket", "state", "steps", "last"):
            table.add_column(column)
        for run_id, (name, state) in sorted(runs.items(), key=lambda item: item[1][0]):
            own = [line for line in lines if line.run.startswith(run_id)]
            steps = sum(line.event == "request.finished" for line in own)
            last = next((f"{line.event} {line.name}" for line in reversed(own)), "")
            style = "red" if state in ("Crashed", "Failed") else "green" if state == "Completed" else None
            table.add_row(name.removeprefix("ticket "), state, str(steps), last, style=style)
        return table


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
