"""An inbox through the real server, worker and deployments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import PROJECT, Up, poll
from triptych.loop.desk import OrderDesk
from triptych.samples import TICKETS

pytestmark = pytest.mark.timeout(400)

SAMPLES = {json.loads(line)["id"]: json.loads(line) for line in TICKETS.read_text().splitlines() if line}


def summary_rows(up: Up, inbox_run: str) -> list[dict[str, Any]]:
    artifact = up.get(f"artifacts/inbox-{inbox_run}/latest")
    return json.loads(artifact["data"])


def inboxes_of(run: dict[str, Any]) -> set[str]:
    tags: list[str] = run["tags"]
    return {tag.removeprefix("inbox:") for tag in tags if tag.startswith("inbox:")}


def ticket_of(run: dict[str, Any]) -> str | None:
    parameters: dict[str, Any] = run["parameters"]
    return parameters.get("ticket", {}).get("id")


def test_every_ticket_has_its_run_and_a_bad_line_stops_nobody(up: Up, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    lines = [json.dumps(SAMPLES["cancel-order"]), '{"id": "half', json.dumps(SAMPLES["opening-hours"])]
    (inbox / "one.jsonl").write_text("\n".join(lines))
    (inbox / "two.json").write_text(json.dumps([SAMPLES["two-orders"]]))
    done = up.run("inbox", str(inbox), "--json", code=1)  # 1: a line was no ticket
    assert "3 of 3 tickets at their end" in done.stderr
    report = json.loads(done.stdout)
    assert [row["ticket_id"] for row in report["rows"]] == ["cancel-order", "opening-hours", "two-orders"]
    assert {row["status"] for row in report["rows"]} == {"completed"}
    assert [(problem["source"], problem["line"]) for problem in report["problems"]] == [("one.jsonl", 2)]
    steps = {row["ticket_id"]: row["spending"]["steps"] for row in report["rows"]}
    assert steps["opening-hours"] == 1, "triage said that no agent is needed: one request, no loop"
    assert steps["cancel-order"] == 1 + 1 + len(SAMPLES["cancel-order"]["actions"])
    parents: set[str] = set()
    for row in report["rows"]:
        assert row["seconds_to_first_token"] > 0
        assert row["spending"]["cost_usd"] > 0
        run = up.get(f"flow_runs/{row['flow_run_id']}")
        assert run["parent_task_run_id"] is None, "a subflow could not be suspended"
        assert run["deployment_id"] is not None
        parents |= inboxes_of(run)
    with OrderDesk(up.desk_url) as desk:
        effects = [effect.tool for effect in desk.effects(key_prefix=f"{report['rows'][0]['flow_run_id']}:")]
    assert effects == ["cancel_pending_order"]

    # The steps of a run, as a person sees them in the UI.
    flow_run = {"flow_runs": {"id": {"any_": [report["rows"][0]["flow_run_id"]]}}}

    def steps_are_shown() -> bool:
        tasks = up.post("task_runs/filter", {**flow_run, "sort": "EXPECTED_START_TIME_ASC"})
        names = {task["name"] for task in tasks}
        completed = {task["state_name"] for task in tasks} == {"Completed"}
        return completed and {"1. ask scripted", "3. cancel_pending_order"} <= names

    # The server records them every second.
    poll("every step of the run, at its end", steps_are_shown, seconds=30)

    # The parent and its summary.
    (parent,) = parents
    rows = summary_rows(up, parent)
    assert [row["status"] for row in rows] == ["completed"] * 3 + ["not a ticket"]

    # The outcome of a finished run, from a process that knows nothing but the API.
    script = (
        "import asyncio, json, sys\nfrom prefect import get_client\n"
        "async def main():\n  async with get_client() as client:\n"
        "    run = await client.read_flow_run(sys.argv[1])\n"
        "    print(json.dumps(await run.state.aresult()))\nasyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, report["rows"][0]["flow_run_id"]],
        env={**up.env, "PREFECT_API_URL": up.api_url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = json.loads(done.stdout)
    assert outcome["resolution"]["outcome"] == "resolved"
    assert outcome["spending"] == report["rows"][0]["spending"]

    # Handled once: the same inbox again starts nothing.
    before = len(up.flow_runs(tags={"any_": ["triptych"]}))
    again = up.json("inbox", str(inbox), code=1)
    assert [row["flow_run_id"] for row in again["rows"]] == [row["flow_run_id"] for row in report["rows"]]
    assert len(up.flow_runs(tags={"any_": ["triptych"]})) == before


def test_the_schedule_plans_runs(up: Up) -> None:
    """The server's scheduler works: with another SQLAlchemy it fails, and only its log says so."""
    planned = poll(
        "a scheduled run of handle-inbox",
        lambda: [run for run in up.flow_runs(state={"type": {"any_": ["SCHEDULED"]}}) if run["auto_scheduled"]],
    )
    assert planned[0]["parameters"]["path"] == "inbox"


def test_an_event_starts_a_run_with_its_ticket(up: Up) -> None:
    ticket = {**SAMPLES["opening-hours"], "id": "by-event"}
    # The payload's text must not be read as a template, whatever a customer writes.
    ticket["instruction"] += ' {{ 7 * 7 }} "quoted" {% raw %}'
    script = "import json, sys\nfrom prefect.events import emit_event\n" + (
        "emit_event('triptych.ticket.received', resource={'prefect.resource.id': 'shop.ticket.by-event'},"
        " payload={'ticket': json.loads(sys.argv[1])})\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, json.dumps(ticket)],
        env={**up.env, "PREFECT_API_URL": up.api_url},
        check=True,
    )

    def started() -> dict[str, Any] | None:
        runs = up.flow_runs(tags={"any_": ["triptych"]})
        return next((run for run in runs if ticket_of(run) == "by-event"), None)

    run = poll("a run for the event's ticket", started)
    assert run["parameters"]["ticket"]["instruction"] == ticket["instruction"]
    assert up.wait_for(run["id"], "Completed", "Failed")["state_name"] == "Completed"


def test_the_parent_does_not_wait_for_a_person_and_the_summary_follows(up: Up, tmp_path: Path) -> None:
    """One ticket's run waits; the inbox run ends with its row `waiting`, which changes when the ticket's run ends."""
    names = ("patient-1", "patient-2")
    file = tmp_path / "tickets.jsonl"
    file.write_text("\n".join(json.dumps({**SAMPLES["opening-hours"], "id": name}) for name in names))
    # The worker takes nothing for a while, so that the run can be held before it begins.
    pool = "work_pools/triptych"
    up.patch(pool, {"is_paused": True})
    inbox = subprocess.Popen(
        [sys.executable, "-m", "triptych", "inbox", str(file), "--json"],
        cwd=PROJECT,
        env=up.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:

        def held() -> dict[str, Any] | None:
            runs = up.flow_runs(name={"any_": [f"ticket {names[0]}"]})
            return runs[0] if runs else None

        waiting = poll("the run that is to wait", held)
        _set_state(up, waiting["id"], {"type": "PAUSED", "name": "Suspended"})
        up.patch(pool, {"is_paused": False})
        said, _ = inbox.communicate(timeout=180)
    finally:
        up.patch(pool, {"is_paused": False})
        inbox.kill()
    report = json.loads(said)
    assert [row["status"] for row in report["rows"]] == ["waiting", "completed"]
    (parent,) = inboxes_of(waiting)
    up.wait_for(parent, "Completed")
    assert [row["status"] for row in summary_rows(up, parent)] == ["waiting", "completed"]

    _set_state(up, waiting["id"], {"type": "SCHEDULED", "name": "Resuming"})
    up.wait_for(waiting["id"], "Completed")
    poll(
        "the summary of the inbox, brought up to date",
        lambda: [row["status"] for row in summary_rows(up, parent)] == ["completed", "completed"],
    )


def _set_state(up: Up, flow_run_id: str, state: dict[str, Any]) -> None:
    answer = up.post(f"flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})
    assert answer["status"] == "ACCEPT", answer
