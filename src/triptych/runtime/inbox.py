"""An inbox: a file or folder of tickets, each handled by a flow run of its own, with one summary of them all."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from pydantic import ValidationError

from triptych.errors import ConfigurationError
from triptych.records import InboxProblem, InboxReport, InboxRow, Ticket, TicketReport
from triptych.runtime.queries import flow_runs_tagged, outcome_of
from triptych.runtime.reporting import publish_progress, publish_summary

_logger = logging.getLogger(__name__)

LARGEST_TICKET_BYTES = 400_000
"""Prefect's server takes 512 KB of parameters for a flow run."""
DEPLOYMENT = "handle-ticket/handle-ticket"
SUFFIXES = (".json", ".jsonl")
POLL_SECONDS = 1.0
CRASHED_PATIENCE_SECONDS = 600.0
"""How long a crashed run may take to be brought back before its row says that it failed."""


@dataclass
class Inbox:
    """What was found in a file or folder."""

    tickets: list[Ticket] = field(default_factory=list[Ticket])
    problems: list[InboxProblem] = field(default_factory=list[InboxProblem])


def read_inbox(path: str | Path) -> Inbox:
    """Read tickets from a `.json` or `.jsonl` file, or from every such file of a folder, in the order of their names.

    A `.jsonl` file holds a ticket a line, a `.json` file one ticket or a list of them. What is no ticket becomes a
    problem with its place, and the others are read all the same; so does a ticket whose id was there before.

    Raises:
        ConfigurationError: there is no such file or folder, or its name ends in neither `.json` nor `.jsonl`.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
    elif place.suffix not in SUFFIXES:
        raise ConfigurationError(f"inbox {str(place)!r}: expected a folder, or a file ending in .json or .jsonl")
    elif place.is_file():
        files = [place]
    else:
        raise ConfigurationError(f"inbox {str(place)!r} does not exist; give a file or folder of tickets")
    inbox, seen = Inbox(), dict[str, str]()
    for file in files:
        for line, value in _entries(file, inbox):
            where = file.name if line is None else f"{file.name}:{line}"
            try:
                ticket = Ticket.model_validate(value)
                if len(ticket.model_dump_json().encode()) > LARGEST_TICKET_BYTES:
                    reason = (
                        f"larger than {LARGEST_TICKET_BYTES // 1000} KB, more than a flow run's parameters can hold"
                    )
                    inbox.problems.append(InboxProblem(source=file.name, line=line, reason=reason))
                    continue
            except (ValueError, RecursionError) as error:
                if not isinstance(error, ValidationError):
                    # A text that UTF-8 cannot hold, or a nesting without end.
                    reason = f"cannot be written as JSON: {type(error).__name__}"
                    inbox.problems.append(InboxProblem(source=file.name, line=line, reason=reason))
                    continue
                first = error.errors(include_url=False, include_input=False)[0]
                field_name = ".".join(str(part) for part in first["loc"])
                reason = f"{field_name}: {first['msg']}" if field_name else first["msg"]
                inbox.problems.append(InboxProblem(source=file.name, line=line, reason=reason))
                continue
            if ticket.id in seen:
                reason = f"ticket id {ticket.id!r} is already that of {seen[ticket.id]}"
                inbox.problems.append(InboxProblem(source=file.name, line=line, reason=reason))
                continue
            seen[ticket.id] = where
            inbox.tickets.append(ticket)
    return inbox


def _entries(file: Path, inbox: Inbox) -> Iterator[tuple[int | None, object]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        inbox.problems.append(InboxProblem(source=file.name, line=None, reason=f"cannot be read: {error}"))
        return
    if file.suffix == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    entry = json.loads(line, parse_constant=_refuse_constant)
                except (ValueError, RecursionError) as error:
                    inbox.problems.append(InboxProblem(source=file.name, line=number, reason=f"not JSON: {error}"))
                    continue
                yield number, entry
        return
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        inbox.problems.append(InboxProblem(source=file.name, line=error.lineno, reason=f"not JSON: {error.msg}"))
        return
    except (ValueError, RecursionError) as error:
        inbox.problems.append(InboxProblem(source=file.name, line=None, reason=f"not JSON: {error}"))
        return
    if not isinstance(value, list):
        yield None, value
        return
    lines = _entry_lines(text)
    for index, entry in enumerate(cast("list[object]", value)):
        yield lines[index], entry


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _entry_lines(text: str) -> list[int]:
    """Return the line that each entry of a JSON list begins on."""
    decoder, position, lines = json.JSONDecoder(), text.index("[") + 1, list[int]()
    while True:
        while text[position] in " \t\r\n,":
            position += 1
        if text[position] == "]":
            return lines
        lines.append(text.count("\n", 0, position) + 1)
        _, position = decoder.raw_decode(text, position)


async def handle_all(inbox: Inbox, *, agent: str, again: bool) -> InboxReport:
    """Start a top-level run for each ticket, and wait for those that no person has to be waited for.

    Runs are top-level, since a subflow can be neither paused for long nor brought back by itself.

    Returns:
        A row a ticket, in the inbox's order.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ConfigurationError("handle_all() works in a flow")
    parent = context.flow_run.id
    logger = get_run_logger()
    for problem in inbox.problems:
        logger.warning("%s:%s is no ticket: %s", problem.source, problem.line or "", problem.reason)
    async with get_client() as client:
        started = [await _start(client, ticket, agent=agent, parent=parent, again=again) for ticket in inbox.tickets]
        rows = await _wait(client, parent, [run.id for run, _ in started])
    rows = [row.model_copy(update={"earlier": earlier}) for row, (_, earlier) in zip(rows, started, strict=True)]
    report = InboxReport(rows=tuple(rows), problems=tuple(inbox.problems))
    await publish_summary(parent, report)
    return report


async def _start(
    client: PrefectClient, ticket: Ticket, *, agent: str, parent: UUID, again: bool
) -> tuple[FlowRun, bool]:
    """Start a ticket's run, or find the one it has; the second value says whether it was there before.

    With `again`, a ticket whose run failed gets a new one. One that was handled never does: its effects are applied.
    """
    content = json.dumps([agent, ticket.model_dump(mode="json")], sort_keys=True)
    key = f"ticket-{hashlib.sha256(content.encode()).hexdigest()}"
    for attempt in itertools.count(1):
        run = await arun_deployment(
            DEPLOYMENT,
            client=client,
            parameters={"ticket": ticket.model_dump(mode="json"), "agent": agent},
            flow_run_name=f"ticket {ticket.id}",
            tags=[_tag(parent)],
            timeout=0,
            as_subflow=False,
            # The same ticket from a schedule, or from a parent that was executed again, finds the run it already has.
            idempotency_key=key if attempt == 1 else f"{key}-{attempt}",
        )
        earlier = _tag(parent) not in run.tags
        if again and earlier and run.state is not None and run.state.is_final() and not run.state.is_completed():
            continue
        if earlier:
            await client.update_flow_run(run.id, tags={*run.tags, _tag(parent)})
        return run, earlier
    raise AssertionError("unreachable")


async def _wait(client: PrefectClient, parent: UUID, ids: Sequence[UUID]) -> list[InboxRow]:
    """Wait until each run is at its end or waits for a person; return their rows in the order of `ids`."""
    crashed_since: dict[UUID, float] = {}
    settled: dict[UUID, InboxRow] = {}
    progress, shown = await publish_progress(None, 0.0), 0
    while True:
        for run in await flow_runs_tagged(client, _tag(parent)):
            if run.id in settled and settled[run.id].status != "waiting":
                continue
            if run.state is not None and run.state.is_crashed():
                since = crashed_since.setdefault(run.id, time.monotonic())
                given_up = time.monotonic() - since > CRASHED_PATIENCE_SECONDS
            else:
                crashed_since.pop(run.id, None)
                given_up = False
            row = await _row(run, given_up=given_up)
            if row.status == "running":
                settled.pop(run.id, None)
            else:
                settled[run.id] = row
        if len(settled) != shown:
            shown = len(settled)
            _logger.info("%d of %d tickets at their end, or waiting for a person", shown, len(ids))
            await publish_progress(progress, 100.0 * shown / len(ids))
        if shown == len(ids):
            return [settled[run_id] for run_id in ids]
        await asyncio.sleep(POLL_SECONDS)


async def _row(run: FlowRun, *, given_up: bool = False) -> InboxRow:
    state = run.state
    ticket = cast("dict[str, Any]", run.parameters.get("ticket") or {})
    row = InboxRow(
        ticket_id=str(ticket.get("id", run.name)),
        flow_run_id=str(run.id),
        state=(state.name or state.type.value) if state is not None else "Unknown",
        status="running",
    )
    if state is None or not (state.is_final() or state.is_paused()):
        return row
    if state.is_paused():
        return row.model_copy(update={"status": "waiting"})
    report = await outcome_of(run, TicketReport)
    if report is not None:
        outcome = report.resolution.outcome if report.resolution is not None else report.error or ""
        return row.model_copy(
            update={
                "status": "failed" if report.status == "failed" else "completed",
                "outcome": outcome,
                "answer": report.resolution.answer if report.resolution is not None else "",
                "spending": report.spending,
                "seconds_to_first_token": report.seconds_to_first_token,
                "duration_seconds": report.duration_seconds,
            }
        )
    if state.is_crashed() and not given_up:
        return row
    if state.is_completed():
        # It was handled, and what it came to has been pruned since.
        return row.model_copy(update={"status": "completed", "outcome": "its report is no longer in the store"})
    # Prefect's words before an exception say nothing that the row's status does not.
    message = (state.message or "").removeprefix("Flow run encountered an exception: ")
    return row.model_copy(update={"status": "failed", "outcome": message})


def _tag(parent: UUID) -> str:
    return f"inbox:{parent}"


async def refresh_summaries(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Bring the summary of every inbox run that a ticket's run belongs to up to date.

    A flow hook, for both flows: of a ticket's run that ended, and of an inbox run that ended. An inbox run that has not
    ended writes its summary itself. Whichever of the two ends last finds the other at its end.
    """
    async with get_client() as client:
        parents = [tag.removeprefix("inbox:") for tag in flow_run.tags if tag.startswith("inbox:")]
        for parent in parents or [str(flow_run.id)]:
            await _refresh(client, UUID(parent))


async def _refresh(client: PrefectClient, parent: UUID) -> None:
    try:
        run = await client.read_flow_run(parent)
    except ObjectNotFound:
        return
    if run.state is None or not run.state.is_final():
        return
    children = await flow_runs_tagged(client, _tag(parent))
    if not children:
        return
    rows = [await _row(child) for child in children]
    rows.sort(key=lambda row: row.ticket_id)
    before = await outcome_of(run, InboxReport)
    problems = before.problems if before is not None else ()
    await publish_summary(parent, InboxReport(rows=tuple(rows), problems=problems))
