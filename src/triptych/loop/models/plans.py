"""What the `scripted` model plays: a `Plan`, and how recorded actions, of a ticket or a fix task, become one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from triptych.errors import ConfigurationError
from triptych.fixes import FixTask
from triptych.records import PlannedCall, Resolution, Ticket, Triage


class Turn(BaseModel):
    """One response of the model that calls tools."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""
    """What the model says before it calls."""
    calls: tuple[PlannedCall, ...] = Field(min_length=1)
    """More than one: parallel tool calls."""
    tool_call_ids: tuple[str, ...] | None = None
    """The ids of `calls`, in order; by default `call-<n>-<m>`, see `ScriptedModel`."""

    @model_validator(mode="after")
    def _one_id_a_call(self) -> Self:
        ids = self.tool_call_ids
        if ids is not None and (len(ids) != len(self.calls) or len(set(ids)) != len(ids)):
            raise ValueError(f"tool_call_ids wants {len(self.calls)} different ids, one for each call, got {ids}")
        return self


class Plan(BaseModel):
    """A run's responses, from the first to the last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: tuple[Turn, ...] = ()
    """The responses that call tools, in order."""
    final: dict[str, Any] | Annotated[str, Field(min_length=1)]
    """The last response: an object for the output tool (or for a structured output in text), or plain text."""


_TRANSFER = "transfer_to_human_agents"
Category: TypeAlias = Literal["cancel", "return", "exchange", "modify", "account", "question", "other"]
_CATEGORY_OF_VERB: dict[str, Category] = {
    "cancel": "cancel",
    "return": "return",
    "refund": "return",
    "exchange": "exchange",
    "modify": "modify",
}


def plan_for_ticket(ticket: Ticket) -> Plan:
    """The plan for the support agent: the ticket's recorded actions, one a turn, then a `Resolution`.

    One call a turn, because that is the policy the actions were recorded under.

    Args:
        ticket: With `actions`; its `outputs` all stand in the final answer.

    Returns:
        A plan whose final outcome is `transferred` when the last action hands over to a person, `declined` when
        there is nothing to do and nothing to say, and `resolved` otherwise.

    Raises:
        ConfigurationError: The ticket has no recorded actions. The operator sees it.
    """
    actions = _actions(ticket)
    if actions and actions[-1].name == _TRANSFER:
        outcome, opening = "transferred", "A colleague takes over your request from here."
    elif actions or ticket.outputs:
        outcome, opening = "resolved", "Your request has been taken care of."
    else:
        outcome, opening = "declined", "Our policy does not allow what you ask for."
    resolution = Resolution.model_validate({"outcome": outcome, "answer": _answer(opening, ticket)})
    return Plan(
        turns=tuple(Turn(text=call.says, calls=(call,)) for call in actions),
        final=resolution.model_dump(exclude={"schema_version"}),
    )


def plan_for_triage(ticket: Ticket) -> Plan:
    """The plan for the single triage request: no turns, and a `Triage` that follows from the recorded actions.

    Args:
        ticket: With `actions`.

    Returns:
        A plan of one response. The category is that of the first action with a side effect; a transfer is `other`, only
        looking things up is a `question`. Urgency is `high` when the ticket ends with a person, `low` when nothing
        is changed, `normal` otherwise.

    Raises:
        ConfigurationError: The ticket has no recorded actions. The operator sees it.
    """
    actions = _actions(ticket)
    effects: list[Category] = [effect for call in actions if (effect := _category(call.name)) is not None]
    transferred = bool(actions) and actions[-1].name == _TRANSFER
    category: Category = "other" if transferred else "question"
    triage = Triage(
        category=effects[0] if effects else category,
        urgency="high" if transferred else "normal" if effects else "low",
        needs_agent=bool(actions),
        answer="" if actions else _answer("Thank you for your message.", ticket),
    )
    return Plan(final=triage.model_dump(exclude={"schema_version"}))


def plan_for_fix(task: FixTask) -> Plan:
    """The plan for the coding agent: the task's recorded actions, one a turn, then its `Fix`.

    Args:
        task: With a `plan`.

    Raises:
        ConfigurationError: The task has none. The operator sees it.
    """
    if task.plan is None:
        raise ConfigurationError(
            f"the scripted model has no plan for task {task.name}: set TRIPTYCH_MODEL to a real model (and its key), "
            "or give the task a `plan`"
        )
    return Plan(
        turns=tuple(Turn(text=call.says, calls=(call,)) for call in task.plan.actions),
        final=task.plan.fix.model_dump(exclude={"schema_version"}),
    )


def _actions(ticket: Ticket) -> tuple[PlannedCall, ...]:
    if ticket.actions is None:
        raise ConfigurationError(
            f"the scripted model has no plan for ticket {ticket.id}: set TRIPTYCH_MODEL to a real model (and its key), "
            "or give the ticket `actions`"
        )
    return ticket.actions


def _category(tool_name: str) -> Category | None:
    """The category of a tool that changes something; None for one that only looks things up, or hands over."""
    if tool_name == "modify_user_address":
        return "account"
    return _CATEGORY_OF_VERB.get(tool_name.partition("_")[0])


def _answer(opening: str, ticket: Ticket) -> str:
    return f"{opening} {'; '.join(ticket.outputs)}." if ticket.outputs else opening
