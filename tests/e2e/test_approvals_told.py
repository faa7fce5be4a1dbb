"""A request is told to others: by events, an automation, an artifact and the command. None of that decides."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.components.webhook import channel
from tests.e2e.stack import PROJECT, Up, poll
from tests.e2e.waiting_runs import effects, ledger, start

pytestmark = pytest.mark.timeout(400)

TEMPLATE = PROJECT / "deployments" / "automations" / "approval-requested.yaml"
NO_BLOCK = "00000000-0000-0000-0000-000000000000"


def _events(up: Up, kind: str, request_id: str) -> list[dict[str, Any]]:
    wanted = {
        "event": {"name": [f"triptych.approval.{kind}"]},
        "resource": {"id": [f"triptych.approval.{request_id}"]},
    }
    return up.post("events/filter", {"filter": wanted})["events"]


def _artifact(up: Up, request_id: str) -> dict[str, Any]:
    return up.get(f"artifacts/approval-{request_id}/latest")


def _create_automation(up: Up, url: str, folder: Path) -> str:
    """Do what the template says: a Webhook block, its id into the file, and Prefect's own command."""
    block_type = up.get("block_types/slug/webhook")
    (schema,) = up.post("block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}})
    block = up.post(
        "block_documents/",
        {
            "name": "managers",
            "block_type_id": block_type["id"],
            "block_schema_id": schema["id"],
            "data": {"url": url, "headers": {"Content-Type": "application/json"}},
        },
    )
    file = folder / "automation.yaml"
    file.write_text(TEMPLATE.read_text().replace(NO_BLOCK, block["id"]))
    command = [sys.executable, "-m", "prefect", "automation", "create", "--from-file", str(file)]
    env = {**up.env, "PREFECT_API_URL": up.api_url}
    subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=180)
    (automation,) = up.post("automations/filter", {"automations": {"name": {"any_": ["triptych-approval-requested"]}}})
    return automation["id"]


def test_others_are_told_and_decide_nothing(up: Up, tmp_path: Path) -> None:
    with channel() as managers:
        automation = _create_automation(up, managers.url, tmp_path)
        run = start(up)
        up.wait_for(run, "Suspended", "Completed", "Failed")
        assert up.state(run) == "Suspended"
        (row,) = [row for row in up.json("approvals") if row["flow_run_id"] == run]
        request_id = row["id"]
        poll("the automation's message", lambda: managers.received)
        up.delete(f"automations/{automation}")
    text = managers.received[0]["text"]
    assert row["tool"] in text
    assert str(row["amount_usd"]) in text
    assert f"flow-run/{run}" in text
    assert request_id in text

    poll("the event", lambda: _events(up, "requested", request_id))
    (event,) = _events(up, "requested", request_id)
    assert event["payload"]["fingerprint"] == row["fingerprint"]
    # Neither the arguments nor the customer's words leave for a channel.
    assert row["arguments"]["order_id"] not in str(event)
    page = _artifact(up, request_id)
    assert page["flow_run_id"] == run
    assert "May the agent do this?" in page["data"]

    # What such systems usually wait for, and our own event as well: both are told, and decide nothing.
    for name, resource in (("manager/approved", row["arguments"]["order_id"]), ("triptych.approval.decided", run)):
        _emit(up, name, f"triptych.approval.{resource}", {"request_id": request_id, "outcome": "approved"})
    poll("the forged event", lambda: _events(up, "decided", run))
    assert up.state(run) == "Suspended"
    assert effects(up, run) == []

    wrong = up.run("approvals", "approve", request_id, "--name", "ERP", "--fingerprint", "f" * 32, code=2)
    assert "another call" in wrong.stderr
    assert up.state(run) == "Suspended"
    up.json(
        "approvals", "deny", request_id, "--name", "ERP", "--fingerprint", row["fingerprint"], "--reason", "blocked"
    )
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert effects(up, run) == []
    request, decision = ledger(up, run)
    assert (decision.outcome, decision.claimed_name, decision.way) == ("denied", "ERP", "command")
    poll("the event", lambda: _events(up, "decided", request.id))
    (event,) = _events(up, "decided", request.id)
    assert (event["payload"]["outcome"], event["payload"]["claimed_name"]) == ("denied", "ERP")
    assert "Denied" in _artifact(up, request_id)["data"]
    shown = up.json("approvals", "show", request_id[:6])
    assert shown["decision"]["reason"] == "blocked"
    assert "a claim: Prefect knows no users" in up.run("approvals", "show", request_id).stdout
    assert "no request begins" in up.run("approvals", "show", "nothing", code=2).stderr


def _emit(up: Up, name: str, resource: str, payload: dict[str, Any]) -> None:
    event = {
        "id": str(uuid.uuid4()),
        "event": name,
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": resource},
        "payload": payload,
    }
    up.send("events", [event])
