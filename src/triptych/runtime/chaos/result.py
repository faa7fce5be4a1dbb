"""What `triptych chaos` comes to, and how a person sees it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

COLUMNS = (
    "tickets",
    "terminal",
    "effects_applied",
    "effects_expected",
    "duplicate_effects",
    "approvals_asked_again",
    "requests_paid_again",
    "seconds",
)


class ChaosResult(BaseModel):
    """The figures; see `counting` for where each comes from."""

    model_config = ConfigDict(frozen=True)

    tickets: int
    terminal: int
    """Tickets with exactly one terminal outcome."""
    effects_applied: int
    """Rows of the desk's list of effects."""
    effects_expected: int
    """Small refunds, and those that the person approved."""
    duplicate_effects: int
    approvals_asked_again: int
    requests_paid_again: int
    seconds: float
    """From the tickets' start to the last one's end."""
    seed: int
    kills: int
    kills_wanted: int
    kills_by_target: dict[str, int]
    executions: int
    """Of all runs together, by the server."""
    approvals_answered: int
    approvals_denied: int
    services_died: tuple[str, ...]
    """Services that ended although nobody killed them, a name each time; they were started again as well."""
    database: str
    store: str
    faults: tuple[str, ...]
    """What is not as it must be; none when all is clean."""


def print_result(console: Console, result: ChaosResult) -> None:
    """Print the table, and what is not clean."""
    figures = result.model_dump()
    table = Table(title="Chaos", title_justify="left", title_style="bold", padding=0)
    for column in COLUMNS:
        # So broken, the names stand whole in eighty columns.
        table.add_column(column.replace("_", "_\n"), justify="right")
    table.add_row(*(str(figures[column]) for column in COLUMNS))
    console.print(table)
    by_target = ", ".join(f"{target} {times}" for target, times in sorted(result.kills_by_target.items()))
    lines = [
        f"Kills: {result.kills} of {result.kills_wanted} ({by_target or 'none'}). Executions: {result.executions}. "
        f"Approvals answered: {result.approvals_answered}, of which denied: {result.approvals_denied}.",
        f"Seed {result.seed}; server on {result.database}; checkpoints in {result.store}.",
    ]
    if result.services_died:
        lines.append(f"Ended by themselves, and were started again: {', '.join(result.services_died)}.")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    for fault in result.faults:
        console.print(fault, style="red", highlight=False, markup=False, soft_wrap=True)
