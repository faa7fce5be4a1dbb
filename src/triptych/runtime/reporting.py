"""What a person sees on a run's page in the Prefect UI."""

from __future__ import annotations

import html
import json
from typing import Any
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from triptych.records import InboxReport, TicketReport


def _quoted(text: str) -> str:
    """Quote words that a customer or a model wrote, so that they cannot pass as ours."""
    return "\n".join(f"> {html.escape(line, quote=False)}" for line in text.splitlines()) or ">"


async def publish_report(report: TicketReport) -> None:
    """Put a ticket's outcome and figures on its run's page."""
    spent = report.spending
    first = "-" if report.seconds_to_first_token is None else f"{1000 * report.seconds_to_first_token:.0f} ms"
    outcome = report.resolution.outcome if report.resolution is not None else report.status
    lines = [
        f"## Ticket {html.escape(report.ticket_id)}: {outcome}",
        "",
        _quoted(report.resolution.answer if report.resolution is not None else report.error or ""),
        "",
        "| requests | tool calls | tokens in | tokens out | cost | first token | duration |",
        "|---|---|---|---|---|---|---|",
        f"| {spent.steps} | {spent.tool_calls} | {spent.input_tokens} | {spent.output_tokens} "
        f"| ${spent.cost_usd:.4f} | {first} | {report.duration_seconds:.1f} s |",
    ]
    if report.triage is not None:
        lines += ["", f"Triage: {report.triage.category}, urgency {report.triage.urgency}."]
    await acreate_markdown_artifact("\n".join(lines), description="Outcome and cost of this ticket")


async def publish_summary(inbox_run: UUID, report: InboxReport) -> None:
    """Write the summary table of an inbox run; a later one takes the place of an earlier one on the artifact's page."""
    rows: list[dict[str, Any]] = [
        {
            "ticket": row.ticket_id,
            "status": row.status,
            "outcome": row.outcome,
            "requests": row.spending.steps,
            "tokens": row.spending.input_tokens + row.spending.output_tokens,
            "cost_usd": round(row.spending.cost_usd, 4),
            "first_token_ms": None if row.seconds_to_first_token is None else round(1000 * row.seconds_to_first_token),
            "seconds": None if row.duration_seconds is None else round(row.duration_seconds, 1),
            "run": f"[{row.flow_run_id[:8]}](/runs/flow-run/{row.flow_run_id})",
        }
        for row in report.rows
    ]
    rows += [
        {"ticket": f"{problem.source}:{problem.line or ''}", "status": "not a ticket", "outcome": problem.reason}
        for problem in report.problems
    ]
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=summary_key(inbox_run),
                type="table",
                description="What became of each ticket",
                # The UI reads a table from JSON text.
                data=json.dumps(rows),
                flow_run_id=inbox_run,
            )
        )


def summary_key(inbox_run: UUID) -> str:
    """Return the key of an inbox run's summary artifact."""
    return f"inbox-{inbox_run}"
