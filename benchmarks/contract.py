"""What the parts of the architectures benchmark hand each other: items, faults, the ledger, trials.

Nothing here imports more than pydantic, so that whoever reads a ledger or writes an arm needs no more either.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

MODEL = "gpt-5-mini"
"""What arms ask for: a model with a list price; what answers is the world's scripted one."""
PROVIDER = "openai"
"""Whose list price its tokens are counted at."""
APPROVAL_ABOVE_USD = 500.0
"""A refund above this needs a person. It is the arm that has to know it; nobody else stops a refund."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Action(_Frozen):
    """One tool call that an item's right course makes."""

    name: str
    arguments: dict[str, Any]
    changes: bool = False
    """Whether it has an effect: one that is intended, once."""
    approval: Literal["none", "approve", "deny"] = "none"
    """What a person says about it, where one has to be asked."""
    result: str | None = None
    """What the call tells, where the arm makes it by itself and no shop sees it: code that it runs."""


def told(name: str, arguments: dict[str, object]) -> str:
    """Return a call as arms tell it: `name(arguments as sorted JSON)`."""
    return f"{name}({json.dumps(arguments, sort_keys=True)})"


class Item(_Frozen):
    """One piece of work, and its right course. An arm sees its id and instruction alone; see `arms.protocol.Job`."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    workload: str
    instruction: str
    actions: tuple[Action, ...]
    """In the order in which the scripted model calls for them, one a response."""
    answer: str
    """What the model says last."""
    records: dict[str, Any] | None = None
    """The shop's users, orders and products for this item alone; None: those of `triptych.samples`."""
    wait_hours: float = 0.0
    """How long the person takes, in hours of the workload's own time."""


Kind: TypeAlias = Literal["request", "call"]
"""A model request, or a tool call. Request n comes before call n: a run of k actions has k calls and k + 1 requests."""


class Fault(_Frozen):
    """What happens to one step of one item, at its first attempts."""

    item: str
    kind: Kind
    step: int = Field(ge=0)
    """The n-th request or call of the item, from 0."""
    what: Literal["error", "rate_limit", "timeout", "slow", "kill"]
    """error: 500 of the model, 503 of a tool. rate_limit: 429 of the model. timeout: never answers. slow: answers late.
    kill: SIGKILL of the process that made the call."""
    when: Literal["received", "done", "answered"] = "received"
    """received: nothing has been done. done: it is done and paid, and the answer does not get out. answered: the answer
    is out. Of `timeout` the first two, of `kill` all three; an error is `received`."""
    times: int = Field(default=1, ge=1)
    """How many attempts of the step it meets."""
    seconds: float = Field(default=0.0, ge=0)
    """Of `slow`: how late. Of a kill once `answered`: how long after."""


class Happening(_Frozen):
    """What is done to a whole arm amid a trial."""

    what: Literal["deploy", "restart", "store_outage"]
    after_share: float = Field(ge=0, le=1)
    """Once this share of the trial's model requests has been answered; of approvals, once this share of items waits."""
    seconds: float = Field(default=0.0, ge=0)
    """Of an outage: how long."""


class FaultPlan(_Frozen):
    """Which faults strike, and when. Same seed and items, same plan; it is written out with the results."""

    name: str
    seed: int
    faults: tuple[Fault, ...] = ()
    happenings: tuple[Happening, ...] = ()


class LedgerLine(_Frozen):
    """One line of the ledger: what the world, which is the model's provider and the shop, saw. No arm writes to it."""

    at: float
    """Unix time in seconds."""
    item: str
    kind: Kind
    step: int
    attempt: int
    """How often this step of the item has been begun, this time included, from 1."""
    event: Literal["started", "first_token", "finished", "failed", "applied", "killed", "missed", "taken"]
    """started: it arrived. first_token: its first chunk went out. finished: it was done in full, and paid: the model's
    last chunk, or the tool's result, went out to the socket or was lost by a fault of `done`. failed: a fault made it
    fail with nothing done, or the caller was gone. applied: the shop made an effect (before `finished`). killed: the
    caller's process got SIGKILL by the plan. missed: it was to be killed, and its process was not found: a failure of
    the harness. taken: code that a model wrote came with the credential of the model's provider."""
    fault: str | None = None
    """`what/when` of the fault that met this attempt."""
    key: str | None = None
    """Of a call: its idempotency key, if it came with one."""
    version: str | None = None
    """Of a request: the version that its instructions name."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Of a request's `finished`: what is paid."""
    wrong: tuple[int, ...] = ()
    """Of a request's `started`: the calls whose results in the history are not those that the right course has."""
    missing: tuple[int, ...] = ()
    """Of a request's `started`: the calls before it whose results are not in the history at all."""
    pid: int | None = None
    """Of the process that made the call, where it was looked for."""


State: TypeAlias = Literal["running", "waiting", "done", "failed", "unknown"]
"""Of an item, as its arm tells it. unknown: the arm knows nothing of it (any more)."""


class Decision(_Frozen):
    """What a person said about a call."""

    at: float
    """Unix time in seconds, before the arm was told."""
    call: str
    """As the arm told it: `name(arguments as sorted JSON)`."""
    approve: bool


class ItemTrial(_Frozen):
    """What became of one item in one trial, as the harness saw it from outside."""

    item: str
    submitted_at: float
    ended_at: float | None
    """None: it did not end in time."""
    state: State
    answer: str | None
    asked: int = 0
    """How often a person was asked about one of its calls."""
    asked_again: int = 0
    """How often about a call that had been decided before."""
    decisions: tuple[Decision, ...] = ()
    waits: tuple[tuple[float, float], ...] = ()
    """From when to when it waited for a person, as Unix times in seconds. One not over at the end ends then."""


class Struck(_Frozen):
    """A happening that took place."""

    what: Literal["deploy", "restart", "store_outage"]
    at: float
    until: float
    """Unix times in seconds: when it began (a restart: when all processes were dead), and when the operator's part in
    it was over."""


class Parts(_Frozen):
    """One deploy: minutes from a changed line to the new version serving."""

    parts: dict[str, float]
    """What was done, in seconds, in order."""
    serving_seconds: float | None
    """From the change to the first model request of an item handed in after it that names the new version; None: it
    never came."""
    lost: int = 0
    """Items in flight at the deploy that did not end done."""


class Used(_Frozen):
    """What an arm's processes used in one trial."""

    seconds: float
    """How long it took, from the first item's submission to the last one's end."""
    cpu_seconds: float
    peak_memory_mib: float
    """Proportional set sizes of all its processes together."""
    memory_gib_seconds: float
    """Of all its processes, over the trial."""
    idle_seconds: float = 0.0
    """The part of `seconds` in which every item under way waited for a person, and had done so for a while."""
    idle_cpu_seconds: float = 0.0
    idle_gib_seconds: float = 0.0
    """What was used in it; both are in the figures above as well."""
    state_bytes: int
    """By how much what it keeps has grown."""
    containers_left: int | None = None
    """None: no Docker in this trial."""
    other_cpu_seconds: float | None = None
    """What everything else on this machine used meanwhile, the world and the harness included; None: not known."""


class Trial(_Frozen):
    """One arm's run of one workload under one fault plan, in one round."""

    arm: str
    workload: str
    plan: FaultPlan
    round: int
    items: tuple[Item, ...]
    came_of: tuple[ItemTrial, ...]
    used: Used | None
    deploys: tuple[Parts, ...] = ()
    struck: tuple[Struck, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    time_scale: float = 1.0
    """Seconds of the workload's time in a second of the harness's, for what waits for a person."""
    arm_failure: str | None = None
    """What the arm could not do that it was asked for: come back after a restart, say, or deploy. It counts: what had
    not ended by then has not ended."""
    harness_failure: str | None = None
    """Why this says nothing about the arm; it is then in no measure."""
