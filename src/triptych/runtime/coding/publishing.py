"""What a person sees of coding tasks on their runs' pages in the Prefect UI."""

from __future__ import annotations

import html
import json
from typing import Any
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from triptych.repositories.records import PatchSummary
from triptych.runtime.approval.page import block
from triptych.runtime.coding.reports import FixBatchReport, FixReport, FixRow, TestRun


async def publish_report(report: FixReport) -> None:
    """Put a task's outcome, its tests and its figures on its run's page."""
    worked, patch = report.worked, report.patch
    changed = patch.checked if patch is not None and isinstance(patch.checked, PatchSummary) else None
    lines = [f"## {html.escape(report.task)}: {report.outcome.replace('_', ' ')}", ""]
    if report.reason:
        lines += [block(report.reason), ""]
    if report.applied is not None:
        lines += [f"Branch `{report.applied.branch}`, commit `{report.applied.commit}`.", ""]
    if changed is not None:
        lines += [f"{len(changed.files)} files changed, {changed.added} lines added, {changed.removed} removed.", ""]
    if worked is not None:
        spent = worked.spending
        lines += [
            "| requests | tool calls | tokens in | tokens out | cost | duration |",
            "|---|---|---|---|---|---|",
            f"| {spent.steps} | {spent.tool_calls} | {spent.input_tokens} | {spent.output_tokens} "
            f"| ${spent.cost_usd:.4f} | {report.duration_seconds:.1f} s |",
            "",
            "What the agent says:",
            "",
            block(worked.summary),
            "",
        ]
    for name, tests in (("before", report.before), ("after", report.after)):
        if tests is not None:
            lines += [f"Tests {name}: {_words(tests)} ({tests.seconds:.1f} s)", "", block(tests.output), ""]
    await acreate_markdown_artifact("\n".join(lines), description="Outcome, tests and cost of this task")


async def publish_summary(batch: UUID, report: FixBatchReport) -> None:
    """Write the summary table of a batch; a later one takes the place of an earlier one on the artifact's page."""
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=f"fixes-{batch}",
                type="table",
                description="What became of each task",
                # The UI reads a table from JSON text.
                data=json.dumps([_cells(row) for row in report.rows]),
                flow_run_id=batch,
            )
        )


def _cells(row: FixRow) -> dict[str, Any]:
    report = row.report
    cells: dict[str, Any] = {"task": row.task, "status": row.status, "outcome": row.error}
    cells["conflicts with"] = ", ".join(row.conflicts_with)
    if report is not None:
        spent = None if report.worked is None else report.worked.spending
        cells |= {
            "outcome": report.outcome,
            "reason": report.reason[:300],
            "branch": "" if report.applied is None else report.applied.branch,
            "tests before": _words(report.before),
            "tests after": _words(report.after),
            "requests": None if spent is None else spent.steps,
            "cost_usd": None if spent is None else round(spent.cost_usd, 4),
            "seconds": round(report.duration_seconds, 1),
        }
    return cells | {"run": f"[{row.flow_run_id[:8]}](/runs/flow-run/{row.flow_run_id})"}


def _words(tests: TestRun | None) -> str:
    return "" if tests is None else tests.outcome.replace("_", " ")
