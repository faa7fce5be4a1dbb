"""What the demo says at its end: the figures, and what to try next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.runtime.approval.page import amount


class DemoResult(BaseModel):
    """The closing table."""

    model_config = ConfigDict(frozen=True)

    tickets: int
    completed: int
    steps: int
    """Model requests, as the reports count them."""
    steps_executed_again: int
    """Completed steps that were executed again, as the witness saw it."""
    effects_applied: int
    """Rows of the order desk's effects table."""
    effects_expected: int
    """Effects of the same tickets handled undisturbed, without Prefect, on a desk of their own."""
    kills: int
    approvals: int
    """Calls that a person was asked about."""
    tokens: int
    cost_usd: float
    seconds: float
    """From the command's start to the closing table."""
    ui_url: str


def print_closing(
    console: Console,
    result: DemoResult,
    rows: list[dict[str, Any]],
    *,
    killed: list[str],
    ledger: Sequence[tuple[ApprovalRequest, ApprovalDecision]],
    leave: bool,
) -> None:
    """Print the closing table.

    Args:
        console: Where to.
        result: The figures.
        rows: The inbox's, a ticket each.
        killed: Names of the runs whose process was killed.
        ledger: What was asked and decided.
        leave: Whether the server ends with the demo, so that its links lead nowhere.
    """
    table = closing_table("What happened", "ticket", "outcome", "requests", "tokens", "cost", "seconds", "")
    for row in rows:
        spending = row["spending"]
        table.add_row(
            row["ticket_id"],
            row["outcome"],
            str(spending["steps"]),
            str(spending["input_tokens"] + spending["output_tokens"]),
            f"${spending['cost_usd']:.3f}",
            f"{row['duration_seconds']:.1f}",
            "killed" if f"ticket {row['ticket_id']}" in killed else "",
        )
    console.print(table)
    if ledger:
        console.print(_ledger(ledger))
    lines = [
        f"{result.completed} of {result.tickets} tickets handled in {result.seconds:.0f} s: {result.steps} model "
        f"requests, {result.tokens} tokens, ${result.cost_usd:.4f} (what the scripted model's would cost; "
        "nothing was paid).",
        f"Processes killed: {result.kills}. Completed steps executed again: {result.steps_executed_again}. "
        f"Effects applied: {result.effects_applied} of {result.effects_expected} expected.",
    ]
    if not leave:
        lines += ["", "The runs in the Prefect UI:"]
        lines += [f"  {result.ui_url}/runs/flow-run/{row['flow_run_id']}  {row['ticket_id']}" for row in rows]
    lines += [
        "",
        "Try next (after `. .venv/bin/activate`):",
        "  triptych up; triptych inbox src/triptych/samples/tickets.jsonl; triptych down",
        "  TRIPTYCH_MODEL=anthropic:claude-sonnet-5 triptych up      with a real model and its key",
        "  triptych bench --suite checkpoints                        what durability costs",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def closing_table(title: str, *columns: str) -> Table:
    """Return an empty table whose cells are shown whole."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        # What stands in it whole: eighty columns hold all of them.
        table.add_column(column, no_wrap=True, overflow="fold")
    return table


def _ledger(ledger: Sequence[tuple[ApprovalRequest, ApprovalDecision]]) -> Table:
    table = closing_table("Ledger", "asked about", "amount", "decided", "by (a claim)", "waited")
    for request, decision in ledger:
        waited = (decision.decided_at - request.asked_at).total_seconds()
        by = decision.claimed_name or "nobody"
        table.add_row(request.tool, amount(request), decision.outcome, by, f"{waited:.0f} s")
    return table
