"""What have runs done, and what is still kept of it? Asked from the command line, as a user would."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Up
from tests.e2e.waiting_runs import start

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def done(up: Up, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The inbox's row of a ticket that was handled."""
    file = tmp_path_factory.mktemp("inbox") / "tickets.jsonl"
    order = {"name": "get_order_details", "arguments": {"order_id": "#T1001"}}
    file.write_text(json.dumps({"id": f"look-{uuid.uuid4()}", "instruction": "What is in #T1001?", "actions": [order]}))
    (row,) = up.json("inbox", str(file))["rows"]
    return row


@pytest.fixture(scope="module")
def waiting(up: Up) -> str:
    """A run that waits for a person."""
    run = start(up)
    assert up.wait_for(run, "Suspended", "Completed", "Failed")["state_name"] == "Suspended"
    return run


def _listed(up: Up, run: str, *options: str) -> list[dict[str, Any]]:
    return [row for row in up.json("runs", "--limit", "200", *options) if row["flow_run_id"] == run]


def test_runs_says_how_far_they_are_and_whom_they_wait_for(up: Up, done: dict[str, Any], waiting: str) -> None:
    (row,) = _listed(up, done["flow_run_id"])
    spent = done["spending"]
    assert (row["state"], row["executions"], row["waits_for"], row["problem"]) == ("Completed", 1, None, None)
    assert (row["input_tokens"], row["output_tokens"]) == (spent["input_tokens"], spent["output_tokens"])
    assert row["cost_usd"] == pytest.approx(spent["cost_usd"])
    assert row["steps"] == spent["steps"] + spent["tool_calls"]
    (row,) = _listed(up, waiting)
    assert (row["state"], row["waits_for"]) == ("Suspended", "a person")
    assert row["steps"]
    assert [each["state"] for each in _listed(up, waiting, "--state", "suspended")] == ["Suspended"]
    assert _listed(up, waiting, "--state", "completed", "--state", "failed") == []
    shown = up.run("runs", "--state", "suspended", "--state", "completed").stdout
    assert waiting in shown
    assert done["flow_run_id"] in shown
    assert "for a person" in shown


def test_runs_leaves_out_what_the_schedule_holds_ready(up: Up) -> None:
    assert {row["state"] for row in up.json("runs", "--state", "scheduled", "--limit", "200")} >= {"Scheduled"}
    assert "Scheduled" not in {row["state"] for row in up.json("runs", "--limit", "200")}


def test_history_shows_what_was_asked_and_answered(up: Up, done: dict[str, Any]) -> None:
    run = done["flow_run_id"]
    history = up.json("history", run)
    assert history["state"] == "Completed"
    assert [each["number"] for each in history["executions"]] == [1]
    (looked,) = [step for step in history["steps"] if step["operation"] == "tool-get_order_details"]
    assert looked["arguments"] == {"order_id": "#T1001"}
    assert "lantern" in str(looked["outcome"]).lower()
    assert not looked["took_effect"]
    assert "What is in #T1001?" in str([step["prompt"] for step in history["steps"]])
    last = history["steps"][-1]
    assert [each["tool"] for each in last["given"]] == ["get_order_details"]
    assert last["given"][0]["result"] == looked["outcome"]["result"]
    assert sum(step["input_tokens"] or 0 for step in history["steps"]) == done["spending"]["input_tokens"]
    for step in history["steps"]:
        assert (up.folder / "checkpoints" / step["place"]).stat().st_size == step["bytes"]

    # By name, and by the beginning of its id; for a person, shortened.
    assert up.json("history", history["name"]) == history
    assert up.json("history", run[:-2]) == history
    shown = up.run("history", run).stdout
    assert f"{history['name']} ({run}): Completed" in shown
    assert "Execution 1 began at" in shown
    assert str(up.folder / "checkpoints" / "checkpoints" / run) in shown
    assert "get_order_details" in shown
    assert "scripted" in shown
    assert "..." in shown


def test_wrong_runs_are_said_clearly(up: Up) -> None:
    assert "`triptych runs` lists them" in up.run("history", "nobody", code=2).stderr
    assert "`triptych runs` lists them" in up.run("history", str(uuid.uuid4()), code=2).stderr
    up.run("prune", code=2)
    up.run("prune", "--older-than", "0", "--state", "running", code=2)


def test_a_torn_checkpoint_is_said_so_and_leaves_a_blank(up: Up, done: dict[str, Any]) -> None:
    run = done["flow_run_id"]
    place = up.json("history", run)["steps"][0]["place"]
    file: Path = up.folder / "checkpoints" / place
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    try:
        said = up.run("history", run, code=1).stderr
        assert f"CheckpointTorn: checkpoint {place}" in said
        (row,) = _listed(up, run)
        assert (row["state"], row["steps"], row["cost_usd"]) == ("Completed", None, None)
        assert place in row["problem"]
        assert place in up.run("runs").stdout
    finally:
        file.write_bytes(whole)


def test_prune_removes_what_ended_and_nothing_else(up: Up, done: dict[str, Any], waiting: str) -> None:
    def objects(run: str) -> int:
        store = up.folder / "checkpoints"
        return sum(file.is_file() for root in ("checkpoints", "executions") for file in (store / root / run).rglob("*"))

    # Of others' runs on this stack only the cancelled ones are removed.
    options = ("--older-than", "0", "--state", "cancelled")
    before = objects(waiting)
    assert waiting not in str(up.json("prune", *options, "--state", "completed"))
    body = {"state": {"type": "CANCELLED", "name": "Cancelled"}, "force": True}
    up.send(f"flow_runs/{waiting}/set_state", body)
    assert waiting not in str(up.json("prune", "--older-than", "1", "--state", "cancelled"))

    looked = up.json("prune", *options)
    (row,) = [row for row in looked["runs"] if row["flow_run_id"] == waiting]
    assert (looked["is_dry_run"], row["objects"]) == (True, before)
    assert "Nothing was; --yes removes it." in up.run("prune", *options, "--dry-run").stdout
    assert objects(waiting) == before

    said = up.run("prune", *options, "--yes").stdout
    assert waiting in said
    assert f"Removed: {len(looked['runs'])} runs, {looked['objects']} objects, {looked['bytes']} bytes." in said
    assert objects(waiting) == 0
    assert objects(done["flow_run_id"])
    assert "was pruned at" in up.run("history", waiting, code=1).stderr
    (row,) = _listed(up, waiting)
    assert (row["state"], row["steps"], row["problem"]) == ("Cancelled", None, None)
    # What was asked of a person is still on record.
    (asked,) = (up.folder / "checkpoints" / "approvals" / waiting).iterdir()
    assert up.json("approvals", "show", asked.name)["request"]["flow_run_id"] == waiting
    assert waiting not in str(up.json("prune", *options, "--yes"))
