"""Tell of a request: as an artifact on the run's page, and as an event that an automation can send on.

An event tells; it never decides. It may come twice where a process died, under one id, and it carries no arguments.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, cast
from uuid import UUID, uuid5

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client

from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.runtime.approval.page import entry, page

Kind: TypeAlias = Literal["requested", "decided", "expired"]

_logger = logging.getLogger(__name__)
_NAMESPACE = UUID("2b9f6f52-9a5b-4f0e-8f3c-6a1d0f7f2c11")


async def announce(request: ApprovalRequest, decision: ApprovalDecision | None = None) -> None:
    """Tell of a request, or of what became of it, before it is asked or acted upon.

    A server that takes neither artifact nor event holds nobody up: what counts is in the ledger.
    """
    kind: Kind = "requested" if decision is None else "expired" if decision.way == "policy" else "decided"
    try:
        await acreate_markdown_artifact(
            page(request) if decision is None else entry(request, decision),
            key=f"approval-{request.id}",
            description="What a person is asked" if decision is None else "What was asked, and what became of it",
        )
        async with get_client() as client:
            # By request and answer: the socket for events is emptied when this process ends, if it gets so far.
            await cast(Any, client).request("POST", "/events", json=[_event(kind, request, decision)])
    except Exception as error:
        _logger.warning("The approval %s was not announced (%s: %s)", request.id, type(error).__name__, error)


def _event(kind: Kind, request: ApprovalRequest, decision: ApprovalDecision | None) -> dict[str, Any]:
    payload = request.model_dump(
        mode="json",
        include={"agent", "tool", "fingerprint", "amount_usd", "asked_of", "deadline", "when_nobody_answers"},
    )
    payload |= {"request_id": request.id, "flow_run_id": request.flow_run_id}
    if decision is not None:
        payload |= decision.model_dump(mode="json", include={"outcome", "claimed_name", "way"})
    return {
        # The same one when it is told again.
        "id": str(uuid5(_NAMESPACE, f"{request.flow_run_id}/{request.id}/{kind}")),
        "event": f"triptych.approval.{kind}",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"triptych.approval.{request.id}", "prefect.resource.name": request.tool},
        "related": [
            {"prefect.resource.id": f"prefect.flow-run.{request.flow_run_id}", "prefect.resource.role": "flow-run"}
        ],
        "payload": payload,
    }
