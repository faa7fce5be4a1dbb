"""`triptych demo`: a batch of tickets, one SIGKILL, one refund, on a machine with no key, no Docker and no server.

The killed run is brought back by the worker's report and the recovery loop.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psutil
from rich.console import Console
from rich.table import Table

from triptych.errors import TriptychError
from triptych.loop.agents import load_agent
from triptych.loop.approvals import run_metadata
from triptych.loop.desk import OrderDesk
from triptych.loop.models import plan_for_ticket, resolve_model
from triptych.loop.prompts import ticket_prompt
from triptych.records import Ticket, TicketReport, WitnessLine
from triptych.runtime.demo.closing import DemoResult, print_closing
from triptych.runtime.demo.stage import Stage, new_home, opened, who_decides
from triptych.runtime.witnessed import executed_again
from triptych.samples import SAMPLES, TICKETS
from triptych.settings import Settings

AGENT = "retail"
FIRST_TOKEN_SECONDS = 0.3
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
    with new_home(FIRST_TOKEN_SECONDS) as settings:
        # Beside the server's start, which leaves a core idle.
        undisturbed = ThreadPoolExecutor(1).submit(lambda: asyncio.run(undisturbed_effects(settings)))
        with OrderDesk(settings.resolved_desk_url) as desk:
            desk.load(SAMPLES)
        with opened(settings, project, console) as stage:
            show = _Show(stage, who_decides(approve, console))
            rows = [show.settled(row) for row in cast("list[dict[str, Any]]", show.handle(project)["rows"])]
            with OrderDesk(settings.resolved_desk_url) as desk:
                applied = len(desk.effects())
            ledger = stage.ledger()
            result = DemoResult(
                tickets=len(rows),
                completed=sum(row["status"] == "completed" for row in rows),
                steps=sum(row["spending"]["steps"] for row in rows),
                steps_executed_again=executed_again(stage.witness),
                effects_applied=applied,
                # A call that was denied has no effect.
                effects_expected=undisturbed.result() - sum(each.outcome != "approved" for _, each in ledger),
                kills=len(show.killed),
                approvals=len(ledger),
                tokens=sum(row["spending"]["input_tokens"] + row["spending"]["output_tokens"] for row in rows),
                cost_usd=round(sum(row["spending"]["cost_usd"] for row in rows), 6),
                seconds=round(time.monotonic() - began, 1),
                ui_url=stage.stack.ui_url,
            )
            if as_json:
                print(json.dumps(result.model_dump()))
            else:
                print_closing(console, result, rows, killed=show.killed, ledger=ledger, leave=leave)
            if result.completed != result.tickets:
                raise TriptychError(
                    f"only {result.completed} of {result.tickets} tickets were handled; see {result.ui_url}"
                )
            if not leave:
                stage.wait_for_interrupt()


def _latest(lines: Sequence[WitnessLine]) -> list[WitnessLine]:
    """Return the last line of each conversation."""
    return list({line.run: line for line in lines}.values())


async def undisturbed_effects(settings: Settings) -> int:
    """Count the effects of the sample tickets when the bare loop handles them: no Prefect, no kill, its own desk."""
    module = load_agent(AGENT)
    calm = settings.model_copy(
        update={"desk_url": f"sqlite:///{settings.folder / 'undisturbed.sqlite'}", "witness": None}
    )
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
    stage: Stage
    approve: bool | None
    """How calls that wait are decided while one watches; None: a person is asked when everything else is done."""
    asked: set[str] = field(default_factory=set[str])
    """Flow runs that asked a person."""
    killed: list[str] = field(default_factory=list[str])
    """Names of the runs whose process was killed."""
    _runs: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def handle(self, project: Path) -> dict[str, Any]:
        """Run `triptych inbox`, show what happens, and kill one run's process."""
        arguments = ["inbox", str(TICKETS), "--agent", AGENT]
        return self.stage.play(arguments, project, look=self._look, meanwhile=self._kill_one)

    def settled(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return an inbox's row; one that waits for a person with what became of it once it is decided."""
        if row["status"] != "waiting":
            return row
        run_id = row["flow_run_id"]
        if run_id not in self.asked:
            self._decide(run_id)
        report = self.stage.report_of(run_id, TicketReport)
        if isinstance(report, str):
            return {**row, "status": "failed", "outcome": report}
        outcome = report.resolution.outcome if report.resolution is not None else ""
        return {
            **row,
            "status": "completed",
            "outcome": outcome,
            "spending": report.spending.model_dump(),
            "duration_seconds": report.duration_seconds,
        }

    def _decide(self, run_id: str) -> None:
        self.stage.decide(run_id, approve=self.approve)
        # What holds is in the ledger: somebody in the UI may have been first.
        self.asked.add(run_id)

    def _look(self) -> Table:
        self._runs = self.stage.runs("handle-ticket")
        for run_id, (_, state) in self._runs.items():
            if state == "Suspended" and self.approve is not None and run_id not in self.asked:
                self._decide(run_id)
        return self._table(self.stage.witness)

    def _kill_one(self) -> None:
        """Kill the first process that is found inside a late enough model request."""
        if self.killed:
            return
        for line in _latest(self.stage.witness):
            if line.event != "request.started" or line.key not in KILL_IN_REQUESTS or not self._is_ours(line.pid):
                continue
            # Held still for a moment: a kill between a response and its checkpoint would be another story.
            os.kill(line.pid, signal.SIGSTOP)
            if line not in _latest(self.stage.witness):
                os.kill(line.pid, signal.SIGCONT)
                continue
            os.kill(line.pid, signal.SIGKILL)
            name = self._runs.get(line.run.partition(":")[0], ("a ticket", ""))[0]
            self.killed.append(name)
            self.stage.console.print(
                f"SIGKILL: process {line.pid} of '{name}' died inside model request {line.key.partition(':')[2]}",
                style="bold red",
                highlight=False,
            )
            return

    def _is_ours(self, pid: int) -> bool:
        """Whether a process was started by our worker and is still there."""
        worker = next(service for service in self.stage.stack.services if service.name == "worker")
        try:
            return any(parent.pid == worker.pid for parent in psutil.Process(pid).parents())
        except psutil.NoSuchProcess:
            return False

    def _table(self, lines: Sequence[WitnessLine]) -> Table:
        table = Table(title="Tickets", title_justify="left", title_style="bold")
        for column in ("ticket", "state", "requests", "last"):
            table.add_column(column)
        for run_id, (name, state) in sorted(self._runs.items(), key=lambda item: item[1][0]):
            own = [line for line in lines if line.run.startswith(run_id)]
            steps = sum(line.event == "request.finished" for line in own)
            last = next((f"{line.event} {line.name}" for line in reversed(own)), "")
            style = "red" if state in ("Crashed", "Failed") else "green" if state == "Completed" else None
            table.add_row(name.removeprefix("ticket "), state, str(steps), last, style=style)
        return table
