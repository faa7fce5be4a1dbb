"""A request to judge and to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from triptych.records import ApprovalRequest

ASKED = datetime(2026, 11, 22, 12, tzinfo=UTC)
DEADLINE = ASKED + timedelta(hours=24)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order_id", "amount"],
    "additionalProperties": False,
}


def request(**about: Any) -> ApprovalRequest:
    """A refund of 600 USD that waits for a day; `about` changes it."""
    return ApprovalRequest.model_validate(
        {
            "id": "0123456789abcdef",
            "flow_run_id": "f",
            "agent": "orders",
            "tool": "refund",
            "tool_call_id": "call-1",
            "arguments": {"order_id": "#1", "amount": 600.0},
            "parameters": PARAMETERS,
            "fingerprint": "f" * 32,
            "why": "it pays out more than 500.00 USD",
            "amount_usd": 600.0,
            "words": "Please.",
            "asked_at": ASKED,
            "hold_until": ASKED,
            "deadline": DEADLINE,
            "when_nobody_answers": "deny",
        }
        | about
    )
