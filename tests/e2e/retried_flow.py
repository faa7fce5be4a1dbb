"""A flow that handles a ticket and fails once afterwards: Prefect tries it again, in the same process."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from triptych.loop.agents import load_agent
from triptych.records import Ticket
from triptych.runtime.approval.policy import load_policy
from triptych.runtime.budget import load_budget
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug
from triptych.runtime.tickets import answer_ticket
from triptych.settings import Settings


@flow(retries=1, persist_result=True, result_storage=store_slug(), result_serializer=PLAIN_JSON)
async def retried(ticket: Ticket, agent: str) -> State[dict[str, Any]]:
    settings = Settings()
    policy, budget = await load_policy(settings), await load_budget(settings)
    report = await answer_ticket(ticket, load_agent(agent), settings, policy, budget)
    failed = settings.folder / f"failed-{flow_run.get_id()}"
    if not failed.exists():
        failed.touch()
        raise ConnectionError("the network blinked")
    return await ended(report, failed=report.status == "failed", message=report.error)
