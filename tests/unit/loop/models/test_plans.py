"""From a ticket's recorded actions to what the scripted model plays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from triptych.errors import ConfigurationError
from triptych.loop.models import Plan, Turn, plan_for_ticket, plan_for_triage
from triptych.records import PlannedCall, Resolution, Ticket, Triage


def _ticket(*names: str, outputs: tuple[str, ...] = ()) -> Ticket:
    calls = tuple(PlannedCall(name=name, arguments={"order_id": "#W1"}) for name in names)
    return Ticket(id="007", instruction="Help me.", actions=calls, outputs=outputs)


def _resolution(ticket: Ticket) -> Resolution:
    return Resolution.model_validate(plan_for_ticket(ticket).final)


def _triage(ticket: Ticket) -> Triage:
    return Triage.model_validate(plan_for_triage(ticket).final)


def test_one_action_a_turn_in_order() -> None:
    ticket = _ticket("get_order_details", "cancel_pending_order")

    plan = plan_for_ticket(ticket)

    assert ticket.actions is not None
    assert [turn.calls for turn in plan.turns] == [(ticket.actions[0],), (ticket.actions[1],)]


@pytest.mark.parametrize(
    ("names", "outputs", "outcome"),
    [
        (["get_order_details", "cancel_pending_order"], (), "resolved"),
        (["get_order_details"], ("54.04",), "resolved"),
        (["cancel_pending_order", "transfer_to_human_agents"], (), "transferred"),
        (["transfer_to_human_agents", "cancel_pending_order"], (), "resolved"),
        ([], ("10",), "resolved"),
        ([], (), "declined"),
    ],
)
def test_the_outcome_follows_from_the_actions(names: list[str], outputs: tuple[str, ...], outcome: str) -> None:
    assert _resolution(_ticket(*names, outputs=outputs)).outcome == outcome


def test_the_answer_contains_every_output() -> None:
    outputs = ("864.96", "camera, $481.50", "#W9911714")

    assert all(output in _resolution(_ticket("calculate", outputs=outputs)).answer for output in outputs)
    assert all(output in _triage(_ticket(outputs=outputs)).answer for output in outputs)


@pytest.mark.parametrize(
    ("names", "category", "urgency", "needs_agent"),
    [
        (["get_order_details", "cancel_pending_order", "modify_user_address"], "cancel", "normal", True),
        (["return_delivered_order_items"], "return", "normal", True),
        (["exchange_delivered_order_items"], "exchange", "normal", True),
        (["modify_pending_order_address"], "modify", "normal", True),
        (["modify_user_address"], "account", "normal", True),
        (["order_lookup", "refund"], "return", "normal", True),
        (["get_order_details", "calculate"], "question", "low", True),
        (["transfer_to_human_agents"], "other", "high", True),
        (["cancel_pending_order", "transfer_to_human_agents"], "cancel", "high", True),
        ([], "question", "low", False),
    ],
)
def test_triage_follows_from_the_actions(names: list[str], category: str, urgency: str, needs_agent: bool) -> None:
    triage = _triage(_ticket(*names))

    assert (triage.category, triage.urgency, triage.needs_agent) == (category, urgency, needs_agent)
    assert plan_for_triage(_ticket(*names)).turns == ()
    assert bool(triage.answer) is not needs_agent


@pytest.mark.parametrize("make", [plan_for_ticket, plan_for_triage])
def test_a_ticket_without_recorded_actions_says_what_to_do(make: Callable[[Ticket], Plan]) -> None:
    ticket = Ticket(id="my-ticket", instruction="Help me.")

    with pytest.raises(ConfigurationError, match=r"no plan for ticket my-ticket: set TRIPTYCH_MODEL .*`actions`"):
        make(ticket)


def test_ids_are_one_a_call() -> None:
    calls = (PlannedCall(name="a"), PlannedCall(name="b"))

    assert Turn(calls=calls, tool_call_ids=("x", "y")).tool_call_ids == ("x", "y")
    for ids in [("x",), ("x", "x"), ("x", "y", "z")]:
        with pytest.raises(ValidationError, match="2 different ids"):
            Turn(calls=calls, tool_call_ids=ids)


def test_a_turn_calls_something_and_a_plan_ends_with_something() -> None:
    with pytest.raises(ValidationError):
        Turn(text="just talk", calls=())
    with pytest.raises(ValidationError):
        Plan(final="")


def test_a_plan_round_trips_as_json() -> None:
    plan = plan_for_ticket(_ticket("get_order_details", outputs=("1",)))

    assert Plan.model_validate_json(plan.model_dump_json()) == plan
