"""Handle one customer ticket, durably."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from triptych.loop.agents import load_agent
from triptych.records import Ticket
from triptych.runtime.approval.policy import load_policy
from triptych.runtime.budget import load_budget
from triptych.runtime.inbox import refresh_summaries
from triptych.runtime.reporting import publish_report
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug
from triptych.runtime.tickets import answer_ticket
from triptych.settings import Settings


@flow(
    name="handle-ticket",
    flow_run_name="ticket {ticket.id}",
    persist_result=True,
    result_storage=store_slug(),
    result_serializer=PLAIN_JSON,
    on_completion=[refresh_summaries],
    on_failure=[refresh_summaries],
)
async def handle_ticket(ticket: Ticket, agent: str = "retail") -> State[dict[str, Any]]:
    """Triage a ticket, and let an agent handle it where one is needed.

    Args:
        ticket: The ticket, in the format of the tau-bench retail tasks.
        agent: Who handles it: `retail`, `orders`, or the dotted path of a module of your own.

    Returns:
        The `TicketReport`, as plain JSON in the checkpoint store. The run is Failed when the agent failed at its task.
    """
    settings = Settings()
    policy, budget = await load_policy(settings), await load_budget(settings)
    report = await answer_ticket(ticket, load_agent(agent), settings, policy, budget)
    await publish_report(report)
    return await ended(report, failed=report.status == "failed", message=report.error)
