"""`triptych demo --coding`: three repositories mended in containers, one box killed, one diff for a person to read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from triptych.errors import ConfigurationError, SandboxUnavailable, TriptychError
from triptych.fixes import FixTask
from triptych.runtime.coding.reports import FixBatchReport, FixReport, FixRow
from triptych.runtime.demo.closing import closing_table
from triptych.runtime.demo.stage import Stage, new_home, opened, who_decides
from triptych.runtime.stack import brains_lack
from triptych.runtime.witnessed import executed_again
from triptych.samples.coding import load_suite
from triptych.sandbox.client import Client
from triptych.sandbox.docker import image_lacks, kill_container
from triptych.sandbox.folder import socket_path
from triptych.settings import Settings

TASKS = ("off-by-one", "precedence", "time-zone")
READ_BY_A_PERSON = "precedence"
FIRST_TOKEN_SECONDS = 1.0
_HANDS, _HOW_TO_BUILD_HANDS = "triptych-hands", "docker build --tag triptych-hands deployments/hands"
_OWNER = {"user.name": "The demo", "user.email": "demo@example.invalid"}


class CodingDemoResult(BaseModel):
    """The closing table."""

    model_config = ConfigDict(frozen=True)

    tasks: int
    applied: int
    """Patches on a branch of their own."""
    boxes_killed: int
    steps: int
    """Model requests, as the reports count them."""
    steps_executed_again: int
    """Completed steps that were executed again, as the witness saw it."""
    approvals: int
    """Diffs that a person was asked about."""
    boxes_left: int
    """When all was over."""
    seconds: float
    """From the command's start to the closing table."""
    ui_url: str


def run_coding_demo(project: Path, *, leave: bool, approve: bool | None, as_json: bool, console: Console) -> None:
    """Run the demo of coding agents and print its closing table.

    Args:
        project: The folder with `prefect.yaml`.
        leave: End at once instead of leaving the server and the repositories until Ctrl-C.
        approve: How the diff that waits for a person is decided; None: the person at the terminal is asked, and
            where there is none it is approved.
        as_json: Print the closing table as one JSON object on standard output.
        console: Where everything else is shown.

    Raises:
        ConfigurationError: before anything is started: there is no Docker, or an image is missing; or a service did
            not come up.
        TriptychError: a task did not come to its end.
    """
    began = time.monotonic()
    with new_home(FIRST_TOKEN_SECONDS) as settings:
        if lacking := brains_lack(settings) or image_lacks(_HANDS, _HOW_TO_BUILD_HANDS):
            raise ConfigurationError(f"coding agents work in containers: {lacking}. Without: `triptych demo`")
        tasks = _make_tasks(settings.folder)
        with opened(settings, project, console) as stage:
            show = _Show(stage, {task.name: task for task in tasks}, who_decides(approve, console))
            rows = show.handle(_write(settings.folder, tasks), project)
            result = CodingDemoResult(
                tasks=len(rows),
                applied=sum(row.report is not None and row.report.outcome == "applied" for row in rows),
                boxes_killed=len(show.killed),
                steps=sum(row.report.worked.spending.steps for row in rows if row.report and row.report.worked),
                steps_executed_again=executed_again(stage.witness),
                approvals=len(stage.ledger()),
                boxes_left=sum(map(len, _boxes(settings).values())),
                seconds=round(time.monotonic() - began, 1),
                ui_url=stage.stack.ui_url,
            )
            if as_json:
                print(json.dumps(result.model_dump()))
            else:
                _print_closing(console, result, rows, show.killed, leave=leave)
            if failed := [f"{row.task}: {row.error}" for row in rows if row.report is None]:
                raise TriptychError(f"not at their end: {'; '.join(failed)}; see {result.ui_url}")
            if not leave:
                stage.wait_for_interrupt()


def _make_tasks(folder: Path) -> list[FixTask]:
    tasks = [sample.task for sample in load_suite(folder / "repositories", TASKS)]
    for task in tasks:
        for name, value in _OWNER.items():
            subprocess.run(["git", "-C", task.repository, "config", name, value], check=True)
    return [task.model_copy(update={"approve": task.name == READ_BY_A_PERSON}) for task in tasks]


def _write(folder: Path, tasks: Sequence[FixTask]) -> Path:
    file = folder / "tasks.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"tasks": [task.model_dump(mode="json", exclude_defaults=True) for task in tasks]}))
    return file


def _boxes(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Return the boxes there are, by the id of the flow run that each belongs to."""

    async def ask() -> list[dict[str, Any]]:
        client = Client(socket_path(settings.sandbox_folder))
        try:
            return await client.boxes()
        finally:
            await client.close()

    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for box in asyncio.run(ask()):
        found[str(box["owner"]).removeprefix("run:")].append(box)
    return dict(found)


@dataclass
class _Show:
    stage: Stage
    tasks: dict[str, FixTask]
    approve: bool | None
    killed: list[str] = field(default_factory=list[str])
    """Tasks whose box was killed."""
    _runs: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def handle(self, file: Path, project: Path) -> list[FixRow]:
        """Run `triptych fix`, show what happens, kill one box, and have the person decide who is asked."""
        told = self.stage.play(["fix", str(file)], project, look=self._look, meanwhile=self._kill_one)
        return [self._settled(row) for row in FixBatchReport.model_validate(told).rows]

    def _settled(self, row: FixRow) -> FixRow:
        if row.status != "waiting":
            return row
        self.stage.decide(row.flow_run_id, approve=self.approve)
        report = self.stage.report_of(row.flow_run_id, FixReport)
        if isinstance(report, str):
            return row.model_copy(update={"status": "failed", "error": report})
        return row.model_copy(update={"status": "completed", "report": report})

    def _kill_one(self) -> None:
        """Kill the first box whose agent has made its change, and thinks about its last command."""
        if self.killed:
            return
        for line in {line.run: line for line in self.stage.witness}.values():
            run_id = line.run.partition(":")[0]
            task = self.tasks.get(self._name(run_id))
            if task is None or task.plan is None or line.event != "request.started":
                continue
            if line.key != f"request:{len(task.plan.actions)}":
                continue
            try:
                (box,) = _boxes(self.stage.settings)[run_id]
                kill_container(box["container"])
            except (SandboxUnavailable, LookupError, ValueError, httpx.HTTPError):
                continue  # it ended by itself meanwhile; there are others
            self.killed.append(task.name)
            self.stage.console.print(
                f"SIGKILL: the box of '{task.name}' died with all its files, after its change and before its tests",
                style="bold red",
                highlight=False,
            )
            return

    def _name(self, run_id: str) -> str:
        """Return the task of a run."""
        return self._runs.get(run_id, ("", ""))[0].removeprefix("fix ")

    def _look(self) -> Table:
        self._runs = self.stage.runs("fix-task")
        boxes: dict[str, list[dict[str, Any]]] = {}
        with contextlib.suppress(SandboxUnavailable):  # a busy broker; the next look comes soon
            boxes = _boxes(self.stage.settings)
        table = Table(title="Tasks", title_justify="left", title_style="bold")
        for column in ("task", "state", "requests", "boxes"):
            table.add_column(column)
        for run_id, (_, state) in sorted(self._runs.items(), key=lambda item: item[1][0]):
            own = [line for line in self.stage.witness if line.run.startswith(run_id)]
            steps = sum(line.event == "request.finished" for line in own)
            style = "red" if state in ("Crashed", "Failed") else "green" if state == "Completed" else None
            table.add_row(self._name(run_id), state, str(steps), str(len(boxes.get(run_id, ()))), style=style)
        return table


def _print_closing(
    console: Console, result: CodingDemoResult, rows: Sequence[FixRow], killed: Sequence[str], *, leave: bool
) -> None:
    table = closing_table("What happened", "task", "outcome", "tests", "requests", "seconds", "branch", "")
    for row in rows:
        report = row.report
        if report is None:
            table.add_row(row.task, "failed", *[""] * 5)
            continue
        tests = " -> ".join(each.outcome for each in (report.before, report.after) if each is not None)
        steps = 0 if report.worked is None else report.worked.spending.steps
        branch = "" if report.applied is None else report.applied.branch
        seconds = f"{report.duration_seconds:.1f}"
        killed_too = "killed" if row.task in killed else ""
        table.add_row(row.task, report.outcome, tests, str(steps), seconds, branch, killed_too)
    console.print(table)
    lines = [
        f"{result.applied} of {result.tasks} patches on branches in {result.seconds:.0f} s; "
        f"diffs that a person was asked about: {result.approvals}.",
        f"Boxes killed: {result.boxes_killed}. Completed model requests executed again: {result.steps_executed_again}. "
        f"Boxes left: {result.boxes_left}.",
    ]
    shown = [row.report for row in rows if row.report is not None and row.report.applied is not None]
    if not leave and shown:
        lines += ["", "What was changed:"]
        lines += [
            f"  git -C {report.source.repository} show {report.applied.branch}" for report in shown if report.applied
        ]
        lines += ["", "The runs in the Prefect UI:"]
        lines += [f"  {result.ui_url}/runs/flow-run/{row.flow_run_id}  {row.task}" for row in rows]
    lines += [
        "",
        "Try next (after `. .venv/bin/activate`): `triptych fix` with a task file of your own; see the README's",
        '"Coding agents".',
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
