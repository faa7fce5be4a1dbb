"""Runs that wait for a person: started, answered and looked up as a test needs it."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import create_engine, update

from tests.e2e.stack import Up
from triptych.loop.desk import Effect, OrderDesk
from triptych.loop.desk.schema import orders
from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.samples import SAMPLES, TICKETS

BIG = next(ticket for ticket in map(json.loads, TICKETS.read_text().splitlines()) if ticket["id"] == "big-refund")
"""A ticket that asks for a refund above the threshold."""


ORDER = "#T1009"


def start(up: Up, ticket: Mapping[str, Any] = BIG) -> str:
    """Start a run that asks, whatever another test approved of its order."""
    put_order_back(up)
    (deployment,) = up.post("deployments/filter", {"deployments": {"name": {"any_": ["handle-ticket"]}}})
    return up.post(
        f"deployments/{deployment['id']}/create_flow_run",
        {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": dict(ticket), "agent": "retail"}},
    )["id"]


def put_order_back(up: Up) -> None:
    """Undo what an approved call did to the order."""
    record = json.loads((SAMPLES / "orders.json").read_text())[ORDER]
    engine = create_engine(up.desk_url)
    with engine.begin() as connection:
        connection.execute(update(orders).where(orders.c.id == ORDER).values(record=record))
    engine.dispose()


def resume(up: Up, run: str, run_input: Mapping[str, Any]) -> dict[str, Any]:
    return up.post(f"flow_runs/{run}/resume", {"run_input": dict(run_input)})


def ledger(up: Up, run: str) -> tuple[ApprovalRequest, ApprovalDecision]:
    (folder,) = (up.folder / "checkpoints" / "approvals" / run).iterdir()
    request = ApprovalRequest.model_validate_json((folder / "request.json").read_bytes())
    return request, ApprovalDecision.model_validate_json((folder / "decision.json").read_bytes())


def is_decided(up: Up, run: str) -> bool:
    return any((up.folder / "checkpoints" / "approvals" / run).glob("*/decision.json"))


def effects(up: Up, run: str) -> list[Effect]:
    with OrderDesk(up.desk_url) as desk:
        return desk.effects(key_prefix=f"{run}:")


@contextmanager
def edited_block(up: Up, kind: str, name: str, **changes: Any) -> Generator[None]:
    """Edit a block as a person does in the UI, for what begins meanwhile."""
    document = up.get(f"block_types/slug/{kind}/block_documents/name/{name}")
    up.patch(f"block_documents/{document['id']}", {"data": changes})
    try:
        yield
    finally:
        up.patch(f"block_documents/{document['id']}", {"data": dict.fromkeys(changes) | document["data"]})


def edited_policy(up: Up, **changes: Any) -> AbstractContextManager[None]:
    """Edit the policy of approvals, for what is asked meanwhile."""
    return edited_block(up, "approval-policy", "approvals", **changes)
