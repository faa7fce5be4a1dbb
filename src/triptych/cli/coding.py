"""Coding tasks from the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.terminal import Json, connected, note, print_json, say, show_log, table
from triptych.settings import Settings

if TYPE_CHECKING:
    from triptych.runtime.coding.reports import FixRow


def fix(
    tasks: Annotated[Path, typer.Argument(help="A YAML file of tasks.")],
    again: Annotated[bool, typer.Option("--again", help="Run tasks again that came to nothing before.")] = False,
    in_docker: Annotated[
        bool,
        typer.Option("--in-docker/--here", help="Where the agents' loops run; what they run is in boxes either way."),
    ] = True,
    project: Annotated[
        Path | None, typer.Option(help="The folder with prefect.yaml; by default here or above.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have coding agents work on the tasks of a file, each in a run and a box of its own, and print what came of it."""
    from triptych.runtime.project import find_project

    settings = Settings()
    folder = find_project(project)
    api_url = connected(settings)
    # What a flow run here logs is on its page; a terminal has the table, or one sentence about what is wrong.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from triptych.runtime.coding.reports import FixBatchReport
    from triptych.runtime.coding.task_file import load_task_file
    from triptych.runtime.running import run_flow_here

    batch = load_task_file(tasks)  # what is wrong with it is said before a flow run is made
    say(f"tasks: {len(batch.tasks)}; see them at {api_url.removesuffix('/api')}/runs")
    show_log("triptych.runtime.batches")
    show_log("triptych.runtime.coding.batch")
    report = run_flow_here(
        folder, "flows/fix_batch.py:fix_batch", path=str(tasks.absolute()), again=again, in_docker=in_docker
    )
    rows = FixBatchReport.model_validate(report).rows
    if as_json:
        print_json(report)
    else:
        columns = ["task", "status", "outcome", "tests", "branch", "requests", "cost", "seconds"]
        table("Tasks", columns, [_cells(row) for row in rows])
        if waiting := sum(row.status == "waiting" for row in rows):
            note(f"waiting for a person: {waiting}; `triptych approvals` lists what is asked")
        for row in rows:
            why = row.error if row.report is None else row.report.reason
            if why:
                before = " (in an earlier batch; --again runs it again)" if row.earlier else ""
                if row.report is not None and row.report.outcome == "not_applied":
                    before = " (--again applies it, without an agent's work)"
                note(f"{row.task}{before}: {why}")
            if row.conflicts_with:
                note(f"{row.task}: its patch cannot be merged with that of {', '.join(row.conflicts_with)}")
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(1)


def _cells(row: FixRow) -> list[object]:
    report = row.report
    if report is None:
        return [row.task, row.status, "a person is to read its diff" if row.status == "waiting" else None, *[None] * 5]
    tests = ["" if each is None else each.outcome.replace("_", " ") for each in (report.before, report.after)]
    spent = None if report.worked is None else report.worked.spending
    return [
        row.task,
        row.status,
        report.outcome.replace("_", " "),
        " -> ".join(filter(None, tests)),
        None if report.applied is None else report.applied.branch,
        None if spent is None else spent.steps,
        None if spent is None else f"${spent.cost_usd:.4f}",
        f"{report.duration_seconds:.1f}",
    ]
