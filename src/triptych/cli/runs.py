"""`triptych runs`, `history` and `prune`: what runs have done, and what of it is no longer kept."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.cli.terminal import Json, connected, note, out, print_json, say, table
from triptych.settings import Settings

if TYPE_CHECKING:
    from triptych.runtime.listing import RunRow
    from triptych.runtime.retention import PruneReport
    from triptych.runtime.store import CheckpointStore
    from triptych.runtime.telling import RunHistory, ToldResult, ToldStep

_SHOWN_CHARACTERS = 160
"""How much of a text a cell shows; --json has it whole."""


class Ended(StrEnum):
    """How a run ended."""

    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"
    crashed = "crashed"


def runs(
    state: Annotated[
        list[str] | None, typer.Option(help="Only runs in this state, like failed or Suspended; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the runs of the deployments, the newest first: how far, at what cost, and waiting for whom."""
    settings = Settings()
    connected(settings)
    from triptych.runtime.listing import list_runs

    async def find() -> list[RunRow]:
        return await list_runs(await _store(settings), states=state or (), limit=limit)

    rows = asyncio.run(find())
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    table(
        "Runs (times are local, costs in USD)",
        ["run", "state", "executions", "steps", "tokens in/out", "cost", "started, took"],
        [
            [
                f"{row.flow_run_id}\n{row.name}{' (fork)' if row.fork_of else ''}",
                row.state if row.waits_for is None else f"{row.state}\nfor {row.waits_for}",
                row.executions,
                row.steps,
                _tokens(row.input_tokens, row.output_tokens),
                _dollars(row.cost_usd),
                _lines(
                    None if row.started_at is None else f"{row.started_at.astimezone():%m-%d %H:%M}",
                    None if row.duration_seconds is None else _duration(row.duration_seconds),
                ),
            ]
            for row in rows
        ],
    )
    for row in rows:
        if row.message and row.state in ("Failed", "Crashed"):
            note(f"{row.flow_run_id}: {_short(row.message)}")
    if not rows and state:
        note(f"no run is in the state {' or '.join(state)}")
    for problem in dict.fromkeys(row.problem for row in rows if row.problem is not None):
        note(problem)


def history(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning, or its exact name.")],
    as_json: Json = False,
) -> None:
    """Show what a run has done, step by step: what was asked, what was answered, at what cost."""
    settings = Settings()
    connected(settings)
    from triptych.runtime.telling import history_of

    async def read() -> RunHistory:
        return await history_of(await _store(settings), run)

    told = asyncio.run(read())
    if as_json:
        print_json(told.model_dump(mode="json"))
        return
    out.print(f"{told.name} ({told.flow_run_id}): {told.state}", markup=False, highlight=False, soft_wrap=True)
    if told.message and told.state != "Completed":
        note(told.message)
    if told.fork_of:
        out.print(f"A fork of {told.fork_of}", highlight=False)
    for execution in told.executions:
        began_at = execution.began_at.astimezone()
        out.print(f"Execution {execution.number} began at {began_at:%Y-%m-%d %H:%M:%S}", highlight=False)
    where = f"{told.store}/checkpoints/{told.flow_run_id}"
    out.print(f"Its checkpoints are below {where}", markup=False, highlight=False, soft_wrap=True)
    table(
        "Steps (costs in USD; * called what may change things)",
        ["", "step", "asked", "answered", "model, time", "tokens in/out, cost", "bytes"],
        [
            [
                f"{step.number}{'*' if step.took_effect else ''}",
                f"{step.label} ({f'execution {step.execution}' if step.execution else 'copied'})\n{step.name}",
                _asked(step),
                _answered(step),
                _lines(step.model, f"{step.seconds:.2f} s", _first(step.seconds_to_first_token)),
                _lines(_tokens(step.input_tokens, step.output_tokens), _dollars(step.cost_usd)),
                step.bytes,
            ]
            for step in told.steps
        ],
    )


def prune(
    older_than: Annotated[
        float, typer.Option(min=0, max=36_500, metavar="DAYS", help="How many days ago a run must have ended.")
    ],
    state: Annotated[list[Ended] | None, typer.Option(help="How it must have ended; may be repeated.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes/--dry-run", help="Remove it; by default, only list what would be removed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove the checkpoints and results of runs that ended long ago: by default completed, failed and cancelled ones.

    A run that is not at its end keeps everything, and so does one that the recovery loop would bring back: a crashed
    run of a deployment, or one that failed for want of its store. The ledger of approvals is kept: it is an audit
    record. What was spent is removed by its day, whatever became of the runs, and never that of today. Runs that the
    Prefect API does not know are left alone and counted.
    """
    settings = Settings()
    connected(settings)
    from triptych.runtime.approval.pending import load_store
    from triptych.runtime.retention import Retention
    from triptych.runtime.retention import prune as remove

    ended_before = datetime.now(UTC) - timedelta(days=older_than)
    retention = Retention(ended_before, [each.value for each in state]) if state else Retention(ended_before)

    async def do() -> PruneReport:
        return await remove(await load_store(settings.store_block), retention, is_dry_run=not yes, say=say)

    report = asyncio.run(do())
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    table(
        "Would be removed" if report.is_dry_run else "Removed",
        ["run", "name", "state", "ended", "checkpoints", "objects", "bytes"],
        [
            [
                row.flow_run_id,
                row.name,
                row.state,
                None if row.ended_at is None else f"{row.ended_at.astimezone():%Y-%m-%d %H:%M}",
                row.checkpoints,
                row.objects,
                row.bytes,
            ]
            for row in report.runs
        ],
    )
    what = f"{len(report.runs)} runs, {report.objects} objects, {report.bytes} bytes"
    if report.spending:
        what += f", {report.spending} records of what was spent on days before"
    if report.is_dry_run:
        out.print(f"Would be removed: {what}. Nothing was; --yes removes it.", highlight=False)
    else:
        out.print(f"Removed: {what}.", highlight=False)
    if report.unknown_runs:
        note(
            f"left alone: {report.unknown_checkpoints} checkpoints of {report.unknown_runs} runs that the Prefect API "
            "does not know"
        )


async def _store(settings: Settings) -> CheckpointStore:
    """Return the store for a look at it: who looks is told of an outage, and need not sit through it."""
    from triptych.runtime.approval.pending import load_store

    return (await load_store(settings.store_block)).model_copy(update={"outage_seconds": 0.0})


def _asked(step: ToldStep) -> str:
    if step.model is None:
        return _short(step.arguments)
    said = [] if step.prompt is None else [_short(step.prompt)]
    return "\n".join([*said, *(f"{each.tool}: {_outcome(each)}" for each in step.given)])


def _answered(step: ToldStep) -> str:
    if step.outcome is not None:
        return _outcome(step.outcome)
    if step.model is None:
        return _short(step.value)
    said = [] if step.text is None else [_short(step.text)]
    return "\n".join([*said, *(f"{call.tool} {_short(call.arguments)}" for call in step.calls)])


def _outcome(outcome: ToldResult) -> str:
    if outcome.is_unknown:
        return "unknown outcome"
    said = "" if outcome.result is None else _short(outcome.result)
    if outcome.kind in ("tool_return", "tool_content_result"):
        return said
    return f"{outcome.kind.replace('_', ' ')}: {said}".removesuffix(": ")


def _short(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _tokens(given: int | None, answered: int | None) -> str | None:
    return None if given is None or answered is None else f"{given}/{answered}"


def _first(seconds: float | None) -> str | None:
    return None if seconds is None else f"first token {seconds:.2f} s"


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part is not None)


def _dollars(cost_usd: float | None) -> str | None:
    return None if cost_usd is None else f"{cost_usd:.4f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else str(timedelta(seconds=round(seconds)))
