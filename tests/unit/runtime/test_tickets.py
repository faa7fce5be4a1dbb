"""A ticket's report says what was spent on it, however it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.durable_runs import DurableRuns
from triptych.loop.agents import load_agent
from triptych.loop.desk import OrderDesk
from triptych.loop.limits import Limits
from triptych.records import Ticket, TicketReport
from triptych.runtime import tickets
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.settings import Settings


async def test_what_a_triage_has_spent_that_did_not_come_to_its_end_is_reported(
    runs: DurableRuns, desk: OrderDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "TRIAGE_LIMITS", Limits(steps=1, tokens=1))
    ticket = Ticket(id="t-1", instruction="Where is it?", actions=())

    async def body() -> TicketReport:
        settings = Settings(desk_url=f"sqlite:///{tmp_path / 'desk.sqlite'}")
        orders = load_agent("orders")
        return await tickets.answer_ticket(ticket, orders, settings, ApprovalPolicy())

    report: TicketReport = (await runs.execute(body)).result
    assert report.status == "failed"
    assert (report.error or "").startswith("BudgetExceeded")
    assert report.spending.steps == 1
    assert report.spending.cost_usd > 0
