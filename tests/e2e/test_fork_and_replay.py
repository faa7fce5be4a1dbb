"""What else could a run have come to? Asked from the command line, as a user would."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.changeable_agent import ADDED
from tests.e2e.disturbed_runs import load_order
from tests.e2e.stack import Up
from tests.e2e.waiting_runs import effects, resume
from triptych.loop.witness import read
from triptych.runtime.history import Step, read_history
from triptych.runtime.store import CheckpointStore

pytestmark = pytest.mark.timeout(400)

ORDER, SMALL, LARGE = "#T9999", 5.0, 600.0


def start(up: Up, amount: float) -> str:
    """Start a run that looks an order up, and refunds some of it."""
    load_order(up)
    actions = [
        {"name": "order_lookup", "arguments": {"order_id": ORDER}},
        {"name": "refund", "arguments": {"order_id": ORDER, "amount": amount}},
    ]
    ticket = {"id": f"refund-{amount}", "instruction": f"I want {amount} dollars back.", "actions": actions}
    deployment = up.get("deployments/name/handle-ticket/handle-ticket")
    parameters = {"ticket": ticket, "agent": "tests.e2e.changeable_agent"}
    body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
    return up.post(f"deployments/{deployment['id']}/create_flow_run", body)["id"]


def history(up: Up, run: str) -> list[Step]:
    return asyncio.run(read_history(CheckpointStore(location=str(up.folder / "checkpoints")), run))


def requests(up: Up, run: str) -> int:
    """How often the run has asked the model, by the witness."""
    return sum(line.event == "request.started" and line.run.startswith(run) for line in read(up.witness))


def amounts(up: Up, run: str) -> list[Any]:
    return [effect.arguments["amount"] for effect in effects(up, run)]


@pytest.fixture(scope="module")
def done(up: Up) -> str:
    """A run at its end, that has paid back a little."""
    run = start(up, SMALL)
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert amounts(up, run) == [SMALL]
    return run


def test_a_fork_executes_nothing_of_what_came_before(up: Up, done: str) -> None:
    (refund,) = [step for step in history(up, done) if step.took_effect]
    before = [step for step in history(up, done) if step.number < refund.number]
    forked = up.json("fork", done, "--at", str(refund.number), "--set", "ticket.instruction=I want it all back.")
    run = forked["flow_run_id"]
    assert [effect["step"] for effect in forked["effects_of_the_original"]] == [refund.number]
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert up.get(f"flow_runs/{run}")["parameters"]["ticket"]["instruction"] == "I want it all back."
    asked_before = sum(step.checkpoint.operation == "model-request" for step in before)
    assert requests(up, run) == requests(up, done) - asked_before
    # Nothing was changed again, and the agent was told so.
    assert amounts(up, run) == []
    (told,) = [step for step in history(up, run) if step.name == refund.name]
    assert "may change nothing" in told.value["message"]
    # The original is as it was.
    assert amounts(up, done) == [SMALL]


def test_effects_happen_again_only_where_that_is_said(up: Up, done: str) -> None:
    (refund,) = [step for step in history(up, done) if step.took_effect]
    shown = up.run("fork", done, "--at", refund.name, "--allow-effects").stdout
    assert f"The original has called, in step {refund.number}" in shown
    run = shown.split()[1]
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert amounts(up, run) == [SMALL]


def test_a_decision_goes_with_what_was_done_and_never_releases_it_again(up: Up) -> None:
    run = start(up, LARGE)
    up.wait_for(run, "Suspended")
    waiting = up.json("replay", run)
    assert (waiting["outcome"], waiting["at"]) == ("unfinished", "the decision about refund")
    resume(up, run, {"approve": True, "name": "Mia"})
    up.wait_for(run, "Completed", "Failed")
    steps = history(up, run)
    (refund,) = [step for step in steps if step.took_effect]

    after = up.json("fork", run, "--at", str(len(steps)), "--allow-effects")["flow_run_id"]
    assert up.wait_for(after, "Suspended", "Completed", "Failed")["state_name"] == "Completed"
    assert amounts(up, after) == []
    again = up.json("fork", run, "--at", str(refund.number), "--allow-effects")["flow_run_id"]
    assert up.wait_for(again, "Suspended", "Completed", "Failed")["state_name"] == "Suspended"
    resume(up, again, {"name": "Max"})
    assert up.wait_for(again, "Completed", "Failed")["state_name"] == "Completed"
    assert amounts(up, again) == []
    assert up.json("replay", run)["outcome"] == "same"


def test_a_fork_that_goes_another_way_stops_before_it_does_anything_again(up: Up, done: str) -> None:
    (refund,) = [step for step in history(up, done) if step.took_effect]
    forked = up.json(
        "fork", done, "--at", str(refund.number + 1), "--set", "agent=tests.e2e.renamed_agent", "--allow-effects"
    )
    run = forked["flow_run_id"]
    ended = up.wait_for(run, "Completed", "Failed")
    assert "CheckpointIncompatible" in ended["state"]["message"]
    assert "orders-0" in ended["state"]["message"]
    assert requests(up, run) == 0
    assert amounts(up, run) == []
    # A fork can be played as well, and goes the way that it went.
    other = up.json("fork", done, "--at", str(refund.number), "--set", "ticket.instruction=All of it.")["flow_run_id"]
    up.wait_for(other, "Completed")
    assert up.json("replay", other)["outcome"] == "same"


def test_a_replay_costs_nothing_and_says_where_it_would_diverge(up: Up, done: str) -> None:
    before = len(read(up.witness))
    same = up.json("replay", done)
    assert same["outcome"] == "same"
    assert same["replayed"] == same["recorded"] == len(history(up, done))
    changed = up.json("replay", done, code=1, **{ADDED: "Be generous."})
    assert changed["outcome"] == "diverges"
    # Triage is as it was.
    assert changed["replayed"] == 1
    assert changed["at"] == "1. ask scripted"
    assert "instructions" in changed["why"]
    assert len(read(up.witness)) == before
    assert amounts(up, done) == [SMALL]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-run", "--at", "1"], "no run has the name"),
        (["RUN", "--at", "99"], "there is no step '99'"),
        (["RUN", "--at", "2", "--set", "ticket.colour=red"], "no parameter 'ticket.colour'"),
        (["RUN", "--at", "2", "--set", "red"], "write NAME=VALUE"),
        (["RUN", "--at", "2", "--set", "ticket.instruction="], "do not fit the flow"),
    ],
)
def test_what_cannot_be_forked_is_said(up: Up, done: str, arguments: list[str], said: str) -> None:
    refused = up.run("fork", *[done if each == "RUN" else each for each in arguments], code=2)
    assert said in refused.stderr
