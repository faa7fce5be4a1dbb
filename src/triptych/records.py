"""Every type that Triptych persists or passes between processes: frozen pydantic models with a `schema_version`.

They live in the installed package, never in a flow file: Prefect loads a flow file under another module name, and
what it persists could not be read elsewhere. They decode without importing anything but this module.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Record(BaseModel):
    """What all records share: immutable, no unknown field, a version that says which shape this is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1


class PlannedCall(BaseModel):
    """One tool call of a recorded plan; a recorded `result` beside it is not part of the plan and is dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    says: str = ""
    """What the model says before this call, in a ticket's recorded actions."""


class Ticket(BaseModel):
    """A customer's request, in the format of the public tau-bench retail tasks.

    Fields of that format which only score an answer (`changed_records`) are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1)
    """Unique within an inbox."""
    user_id: str | None = None
    """The customer's id, where it is known."""
    instruction: str = Field(min_length=1)
    """The customer's words."""
    actions: tuple[PlannedCall, ...] | None = None
    """The recorded plan: what the `scripted` model calls, in order. Real models and the tools never see it."""
    outputs: tuple[str, ...] = ()
    """What the `scripted` model's final answer contains. Never seen by a real model."""

    @field_validator("actions")
    @classmethod
    def _holds_no_template(cls, actions: tuple[PlannedCall, ...] | None) -> tuple[PlannedCall, ...] | None:
        return None if actions is None else refuse_templates(actions)


def refuse_templates(actions: tuple[PlannedCall, ...]) -> tuple[PlannedCall, ...]:
    """Return recorded actions that are to be a flow's parameter.

    Raises:
        ValueError: Prefect's server would evaluate one of them: templates, variables.
    """
    if any(_has_key(call.arguments, "__prefect_kind") for call in actions):
        raise ValueError("an object with the key __prefect_kind is not allowed: Prefect would evaluate it")
    return actions


def _has_key(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return key in fields or any(_has_key(item, key) for item in fields.values())
    return isinstance(value, list) and any(_has_key(item, key) for item in cast("list[Any]", value))


class Triage(Record):
    """What one structured model request says of a ticket."""

    category: Literal["cancel", "return", "exchange", "modify", "account", "question", "other"]
    urgency: Literal["low", "normal", "high"]
    needs_agent: bool
    """False when the ticket can be answered at once, without looking anything up or changing anything."""
    answer: str = ""
    """The reply to the customer when no agent is needed."""


class Resolution(Record):
    """An agent's structured answer to a ticket."""

    outcome: Literal["resolved", "declined", "transferred"]
    """`declined`: the policy does not allow it. `transferred`: a human agent has taken over."""
    answer: str
    """The reply to the customer."""


class Spending(Record):
    """What a run has used. A resumed run reports the same numbers as an undisturbed one."""

    steps: int = 0
    """Model requests."""
    tool_calls: int = 0
    """Tool calls that succeeded."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    """At list prices; see `triptych.loop.models.pricing`."""


class TicketReport(Record):
    """The outcome of one `handle_ticket` run; a row of the inbox's summary."""

    ticket_id: str
    flow_run_id: str
    status: Literal["completed", "failed", "waiting"]
    triage: Triage | None = None
    resolution: Resolution | None = None
    error: str | None = None
    spending: Spending = Spending()
    seconds_to_first_token: float | None = None
    """From the agent's first model request to its first streamed event; None when nothing was streamed."""
    duration_seconds: float = 0.0
    """From the first execution's start to the end, waiting included."""


class ApprovalRequest(Record):
    """What a person is asked about one tool call. Written before they are asked; the policy in force stands with it."""

    id: str
    """Of the call, of what it would do, and of who is asked: another amount is another request."""
    flow_run_id: str
    agent: str
    tool: str
    tool_call_id: str
    arguments: dict[str, Any]
    parameters: dict[str, Any] = Field(default_factory=dict)
    """The tool's JSON schema, which changed arguments must fit; empty where it is not known."""
    fingerprint: str
    """Of tool and arguments; a decision counts for this fingerprint alone."""
    why: str
    """Which rule wants a person."""
    explanation: str = ""
    """What the agent said with the call, in its own words."""
    change: str = ""
    """What the call would change, for a person to read: a diff, shortened where it is long."""
    amount_usd: float | None = None
    """What the call would pay out; None where that cannot be said."""
    words: str
    """What the agent was told: the customer's words, say."""
    asked_of: str = ""
    """The person or channel that is asked; empty where the policy names none."""
    escalates_to: tuple[str, ...] = ()
    """Who is asked next when nobody answers."""
    asked_at: datetime
    hold_until: datetime
    """Until when the run keeps its process."""
    deadline: datetime
    """Until when a person may decide; from then on the policy's answer holds."""
    when_nobody_answers: Literal["deny", "approve", "escalate", "fail"]


class ApprovalDecision(Record):
    """What became of a request: a line of the ledger."""

    request_id: str
    fingerprint: str
    outcome: Literal["approved", "denied", "expired", "escalated"]
    """`expired`: nobody answered in time, and it was not done. `escalated`: nobody did, and the next one is asked."""
    arguments: dict[str, Any] | None = None
    """What is called instead, where the person changed it; None where they did not."""
    claimed_name: str | None = None
    """Who says to have decided. A claim, not an identity: Prefect knows no users. None: the policy decided."""
    way: Literal["form", "command", "policy"]
    """`form`: by resuming the run, in the Prefect UI or its API. `command`: `triptych approvals`, which resumes it as
    well. `policy`: nobody answered in time."""
    reason: str = ""
    decided_at: datetime
    """When the run was resumed, by the Prefect server's clock."""
    attempts: int
    """How often it was asked; more than once where a crash ended the wait, or an answer could not be used."""


class InboxRow(BaseModel):
    """What became of one ticket of an inbox."""

    model_config = ConfigDict(frozen=True)

    ticket_id: str
    flow_run_id: str
    state: str
    """The flow run's state by its name in Prefect."""
    status: Literal["completed", "failed", "waiting", "running"]
    """`waiting`: paused or suspended for a person. `running`: not at its end, also when not started yet."""
    outcome: str = ""
    """The resolution's outcome, or the error."""
    answer: str = ""
    """The reply to the customer."""
    spending: Spending = Spending()
    seconds_to_first_token: float | None = None
    duration_seconds: float | None = None
    earlier: bool = False
    """Whether an earlier inbox run started this ticket's run."""


class InboxProblem(BaseModel):
    """A line or file of an inbox that is no ticket; the others are handled all the same."""

    model_config = ConfigDict(frozen=True)

    source: str
    """The file's name, within the inbox."""
    line: int | None
    """Counting from 1; None where the problem is the whole file's."""
    reason: str


class InboxReport(Record):
    """The outcome of one `handle_inbox` run."""

    rows: tuple[InboxRow, ...]
    problems: tuple[InboxProblem, ...] = ()


class InputDigest(BaseModel):
    """One named thing that went into a step, by its digest: enough to say what changed, nothing to leak."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str


class StepInputs(BaseModel):
    """What went into a step. Two executions took the same step when `digest` is equal."""

    model_config = ConfigDict(frozen=True)

    previous: str
    """The digest of the agent run's model request before this step; empty for the first."""
    static: str
    """Digest of what does not grow with the run: model, instructions, settings, output, tools in their order."""
    static_parts: tuple[InputDigest, ...] | None = None
    """The parts of `static`; None where they are those of the request before."""
    added: tuple[InputDigest, ...] = ()
    """What is new since `previous`: message parts for a model request, arguments for a tool call."""
    digest: str
    """Over `previous`, `static` and `added`."""


class Checkpoint(Record):
    """What one durable operation added, and what went into it. One object in the checkpoint store.

    The payload stands beside this record in the same object, as a line of its own; see `triptych.runtime.checkpoints`.
    """

    key: str
    """The object's name in the store."""
    flow_run_id: str
    agent_run: str
    """Which agent run of the flow run: `<agent>-<ordinal>`, below the tool call that started it, if one did."""
    sequence: int
    """How many model requests the agent run had begun, this one included."""
    operation: str
    tool_call_id: str | None = None
    label: str
    """The name of the task run in the Prefect UI."""
    inputs: StepInputs
    execution: int
    """Which execution of the flow run took the step, counting from 1."""
    started_at: datetime
    seconds: float
    """How long the step took."""
    seconds_to_first_token: float | None = None
    payload_bytes: int
    prompt: str | None = None
    """What a person said to the model with this request, where that was new."""
    side_effects: bool | None = None
    """Whether the tool that was called changes anything; None where it does not say, and for what is no tool call."""
    outcome_is_unknown: bool = False
    """Whether the step is a tool call that was begun and interrupted, and may not be tried again."""
    files: str | None = None
    """The workspace snapshot as of after this step, by its name below the run's; None where the step used no workspace,
    and while nothing in it has changed."""


class ExecutionRecord(Record):
    """One execution of a flow run, as it began. Written before its first step."""

    flow_run_id: str
    number: int
    """Counting from 1, those included that go on after a suspension."""
    began_at: datetime
    goes_on_from: tuple[str, ...]
    """The checkpoints' names that it found. What earlier executions write after this counts for nothing: they do not
    own the run any more."""


class PrunedRun(Record):
    """That a run's checkpoints were removed. Written when they are gone."""

    flow_run_id: str
    pruned_at: datetime
    checkpoints: int
    """How many were removed; fewer than there had been where an earlier attempt was interrupted."""
    bytes: int
    """The size of everything that was removed with them."""


class BenchmarkReport(Record):
    """What a run of the architectures benchmark came to."""

    profile: str
    seed: int
    folder: str
    """Where the whole report is, on the machine that ran it."""
    measures: tuple[dict[str, Any], ...]
    """A row for each arm, workload, fault plan and measure; see `benchmarks/README.md`."""


class WitnessLine(BaseModel):
    """One line of the witness file, written by the scripted model and the tools, outside all checkpoints."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    pid: int
    event: Literal["request.started", "request.finished", "tool.started", "tool.finished", "effect.applied"]
    run: str
    """The conversation the event belongs to; it begins with the flow run's id in a flow."""
    name: str
    """The model's or the tool's name."""
    key: str
    """Which one: `request:<n>` for the n-th request of a conversation, the tool call's id for a tool."""
