"""An inbox: a file or folder of tickets, each handled by a flow run of its own, with one summary of them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from pydantic import ValidationError

from triptych.errors import ConfigurationError
from triptych.records import InboxProblem, InboxReport, InboxRow, Ticket, TicketReport
from triptych.runtime.batches import Batch, Started, key_of, standing, state_name, this_run
from triptych.runtime.queries import outcome_of
from triptych.runtime.reporting import publish_summary

LARGEST_TICKET_BYTES = 400_000
"""Prefect's server takes 512 KB of parameters for a flow run."""
DEPLOYMENT = "handle-ticket/handle-ticket"
SUFFIXES = (".json", ".jsonl")


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

    A ticket that was handled never gets a second run: its effects are applied.

    Args:
        inbox: The tickets.
        agent: Who handles them.
        again: Give a ticket whose run failed a new one.

    Returns:
        A row a ticket, in the inbox's order.
    """
    parent = this_run()
    logger = get_run_logger()
    for problem in inbox.problems:
        logger.warning("%s:%s is no ticket: %s", problem.source, problem.line or "", problem.reason)
    started: list[Started] = []
    async with get_client() as client:
        for ticket in inbox.tickets:
            told = ticket.model_dump(mode="json")
            parameters, name = {"ticket": told, "agent": agent}, f"ticket {ticket.id}"
            started.append(
                await BATCH.start(
                    client, name, parameters, parent=parent, key=key_of("ticket", [agent, told]), again=again
                )
            )
        rows = await BATCH.wait(client, parent, [each.run.id for each in started])
    rows = [row.model_copy(update={"earlier": each.earlier}) for row, each in zip(rows, started, strict=True)]
    report = InboxReport(rows=tuple(rows), problems=tuple(inbox.problems))
    await publish_summary(parent, report)
    return report


async def _row(run: FlowRun, given_up: bool) -> InboxRow:
    ticket = cast("dict[str, Any]", run.parameters.get("ticket") or {})
    stands = await standing(run, TicketReport, given_up=given_up)
    row = InboxRow(
        ticket_id=str(ticket.get("id", run.name)),
        flow_run_id=str(run.id),
        state=state_name(run),
        status=stands.status,
        outcome=stands.why,
    )
    report = stands.report
    if report is None:
        return row
    return row.model_copy(
        update={
            "status": "failed" if report.status == "failed" else "completed",
            "outcome": report.resolution.outcome if report.resolution is not None else report.error or "",
            "answer": report.resolution.answer if report.resolution is not None else "",
            "spending": report.spending,
            "seconds_to_first_token": report.seconds_to_first_token,
            "duration_seconds": report.duration_seconds,
        }
    )


BATCH = Batch(kind="inbox", deployment=DEPLOYMENT, row=_row, noun="tickets")


async def refresh_summaries(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Bring the summary of every inbox run that a ticket's run belongs to up to date: a hook of both flows."""
    for parent, rows in await BATCH.ended_parents(flow_run):
        rows.sort(key=lambda row: row.ticket_id)
        before = await outcome_of(parent, InboxReport)
        problems = before.problems if before is not None else ()
        await publish_summary(parent.id, InboxReport(rows=tuple(rows), problems=problems))
