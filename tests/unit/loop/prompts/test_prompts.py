"""Prompts are files of the package, and what an agent is asked holds nothing of the recorded plan."""

from __future__ import annotations

import pytest
from pydantic_ai.models.test import TestModel

from tests.components import require
from triptych.errors import ConfigurationError
from triptych.fixes import Fix, FixPlan, FixTask
from triptych.loop.agents import load_agent
from triptych.loop.prompts import fix_prompt, load_prompt, ticket_prompt
from triptych.loop.triage import build_triage_agent
from triptych.records import PlannedCall, Ticket


@pytest.mark.parametrize("name", ["retail", "orders", "triage"])
def test_every_agent_has_its_prompt(name: str) -> None:
    text = load_prompt(name)
    assert text == text.strip() != ""
    agent = build_triage_agent(TestModel()) if name == "triage" else load_agent(name).build_agent(TestModel())
    assert agent.name == name


@pytest.mark.parametrize("name", ["nobody", "../errors", "", "retail.md"])
def test_an_unknown_prompt_is_refused(name: str) -> None:
    names = r"coding\.md, orders\.md, retail\.md, triage\.md"
    with pytest.raises(ConfigurationError, match=rf"there is no prompt .* among {names}"):
        load_prompt(name)


def test_the_policy_is_in_our_own_words() -> None:
    theirs = (require("tau_retail") / "policy.md").read_text().split()
    ours = " ".join(load_prompt("retail").split())
    runs = (" ".join(theirs[start : start + 10]) for start in range(len(theirs) - 10))
    assert not [run for run in runs if run in ours]


def test_what_an_agent_is_asked() -> None:
    ticket = Ticket(
        id="t-1", user_id="ada", instruction="Cancel #1.", actions=(PlannedCall(name="secret"),), outputs=("12.34",)
    )
    assert ticket_prompt(ticket) == "Ticket t-1. Customer id given with it: ada.\n\nCancel #1."
    assert "unknown" in ticket_prompt(ticket.model_copy(update={"user_id": None}))


def test_what_a_coding_agent_is_asked() -> None:
    plan = FixPlan(actions=(PlannedCall(name="secret"),), fix=Fix(outcome="fixed", summary="hidden"))
    task = FixTask(name="t", repository="r", instruction="Mend it.\n", test="make test\n", plan=plan)
    assert fix_prompt(task) == "Mend it.\n\nThe tests are run with:\n\n    make test"
