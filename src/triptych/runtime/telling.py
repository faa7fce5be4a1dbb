"""A run's history for a reader: what each step was asked and what came of it, read from the checkpoints that count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from prefect.client.orchestration import get_client
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from triptych.errors import CheckpointMissing, CheckpointTorn
from triptych.records import ExecutionRecord, PrunedRun
from triptych.runtime.history import Step, pruned_key, read_history
from triptych.runtime.queries import find_run
from triptych.runtime.store import CheckpointStore

FORK_OF = "fork-of:"
"""How the tag of a fork begins; the original's id follows."""
EXECUTIONS = "executions"
"""Where the records of executions lie in a store, a folder a run."""
MODEL_REQUEST = "model-request"
_PUT_OFF = ("approval_required", "call_deferred")
"""What became of a call that is done in a later round, if at all."""


class ToldCall(BaseModel):
    """A tool call that a model asked for."""

    model_config = ConfigDict(frozen=True)

    tool: str
    tool_call_id: str
    arguments: Any
    """As JSON; the model's own text where that is none."""


class ToldResult(BaseModel):
    """What became of a tool call."""

    model_config = ConfigDict(frozen=True)

    tool: str
    tool_call_id: str
    kind: str
    """As pydantic-ai names it: `tool_return`, `tool_failed`, `model_retry`, `approval_required` and so on."""
    result: Any
    """What the tool returned, or what was said instead."""
    is_unknown: bool = False
    """Whether the call was begun and interrupted, so that nobody knows what came of it."""


class ToldStep(BaseModel):
    """One step, as `triptych history` shows it."""

    model_config = ConfigDict(frozen=True)

    number: int
    name: str
    """Its place below the run; where a tool starts an agent, that agent's steps stand below the call."""
    label: str
    execution: int
    """Which execution took it; 0 where it was copied from another run."""
    agent_run: str
    operation: str
    prompt: str | None = None
    """What a person said to the model with this request, where that was new."""
    given: tuple[ToldResult, ...] = ()
    """The tool results that a model request was made with."""
    arguments: Any = None
    """What a tool was called with."""
    text: str | None = None
    """What the model said."""
    calls: tuple[ToldCall, ...] = ()
    """What the model wants to be called."""
    outcome: ToldResult | None = None
    """What became of a tool call."""
    value: Any = None
    """What any other operation gave."""
    model: str | None = None
    started_at: datetime
    seconds: float
    seconds_to_first_token: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None for what is no model request, and where the price is not known."""
    bytes: int
    place: str
    """The object's name in the store."""
    took_effect: bool
    """Whether it changed something outside, as far as is known; a tool that does not say may have."""
    files: str | None = None
    """The workspace snapshot as of after it, by its name below the run's; one of its own is called like the step."""


class ToldExecution(BaseModel):
    """One execution of a run."""

    model_config = ConfigDict(frozen=True)

    number: int
    began_at: datetime


class RunHistory(BaseModel):
    """What a run has done."""

    model_config = ConfigDict(frozen=True)

    flow_run_id: str
    name: str
    state: str
    message: str | None = None
    """What Prefect says beside the state: why it failed, say."""
    fork_of: str | None = None
    """The run that this one is a fork of."""
    store: str
    """The store's place, without credentials."""
    executions: tuple[ToldExecution, ...]
    steps: tuple[ToldStep, ...]


async def history_of(store: CheckpointStore, text: str) -> RunHistory:
    """Return what a run has done, by the checkpoints that count.

    Args:
        store: Where the run keeps its checkpoints.
        text: The run's id, the beginning of it, or its name.

    Raises:
        ConfigurationError: there is no such run, or more than one.
        CheckpointMissing: there are none; the message says when they were pruned, if they were.
        CheckpointStoreUnavailable, CheckpointTorn: they cannot be read.
    """
    async with get_client() as client:
        run = await find_run(client, text)
    flow_run_id = str(run.id)
    try:
        steps = await read_history(store, flow_run_id)
    except CheckpointMissing as error:
        pruned = await read_pruned(store, flow_run_id)
        if pruned is None:
            raise
        raise CheckpointMissing(
            f"run {run.name} ({flow_run_id}) was pruned at {pruned.pruned_at:%Y-%m-%d %H:%M} UTC: "
            f"{pruned.checkpoints} checkpoints were removed. What people decided in it is kept"
        ) from error
    return RunHistory(
        flow_run_id=flow_run_id,
        name=run.name,
        state=run.state.name or "" if run.state is not None else "",
        message=run.state.message if run.state is not None else None,
        fork_of=next((tag.removeprefix(FORK_OF) for tag in run.tags if tag.startswith(FORK_OF)), None),
        store=store.backend.place,
        executions=tuple(await _executions(store, flow_run_id)),
        steps=tuple(told(steps)),
    )


async def read_pruned(store: CheckpointStore, flow_run_id: str) -> PrunedRun | None:
    """Return the record of a run's removal, or None where it was not removed.

    Raises:
        CheckpointTorn: there is a record, and it cannot be read.
    """
    key = pruned_key(flow_run_id)
    content = await store.read(key)
    try:
        return None if content is None else PrunedRun.model_validate_json(content)
    except ValidationError as error:
        raise CheckpointTorn(f"{key} is not whole, or of another version of Triptych; it may be deleted") from error


async def _executions(store: CheckpointStore, flow_run_id: str) -> list[ToldExecution]:
    found: list[ToldExecution] = []
    for key in await store.keys(f"{EXECUTIONS}/{flow_run_id}"):
        try:
            record = ExecutionRecord.model_validate_json(await store.read(key) or b"")
        except ValidationError as error:
            raise CheckpointTorn(f"{key}, the record of an execution, cannot be read") from error
        found.append(ToldExecution(number=record.number, began_at=record.began_at))
    return found


def told(steps: Sequence[Step]) -> list[ToldStep]:
    """Return steps as a reader wants them; each is told by itself and those before it."""
    return [_told(step, steps[:index]) for index, step in enumerate(steps)]


def _told(step: Step, before: Sequence[Step]) -> ToldStep:
    checkpoint = step.checkpoint
    more: dict[str, Any]
    if checkpoint.operation == MODEL_REQUEST:
        usage: dict[str, Any] = step.value.get("usage") or {}
        more = {
            "prompt": checkpoint.prompt,
            "given": _given(step, before),
            "text": _text(step),
            "calls": _calls(step),
            "model": step.value.get("model_name"),
            "input_tokens": usage.get("input_tokens"),
            "output_tokens": usage.get("output_tokens"),
            "cost_usd": None if usage.get("cost") is None else float(usage["cost"]),
        }
    elif _is_call(step):
        more = {"arguments": _arguments(step, before), "outcome": _outcome(step)}
    else:
        more = {"value": from_json(step.payload)}
    return ToldStep(
        number=step.number,
        name=step.name,
        label=checkpoint.label,
        execution=checkpoint.execution,
        agent_run=checkpoint.agent_run,
        operation=checkpoint.operation,
        started_at=checkpoint.started_at,
        seconds=checkpoint.seconds,
        seconds_to_first_token=checkpoint.seconds_to_first_token,
        bytes=len(step.content),
        place=checkpoint.key,
        took_effect=step.took_effect,
        files=checkpoint.files,
        **more,
    )


def _is_call(step: Step) -> bool:
    return step.checkpoint.tool_call_id is not None and step.checkpoint.operation.startswith("tool-")


def _parts(step: Step) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", step.value.get("parts") or [])


def _text(step: Step) -> str | None:
    said = [str(part.get("content") or "") for part in _parts(step) if part.get("part_kind") == "text"]
    return "\n".join(said) or None


def _calls(step: Step) -> tuple[ToldCall, ...]:
    return tuple(
        ToldCall(tool=part["tool_name"], tool_call_id=part["tool_call_id"], arguments=_as_json(part.get("args")))
        for part in _parts(step)
        if part.get("part_kind") == "tool-call"
    )


def _as_json(arguments: object) -> object:
    """A provider gives arguments as an object, or as its text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _arguments(step: Step, before: Sequence[Step]) -> Any:
    """Find what a tool was called with in the response that asked for it; after an approval, one of a round before."""
    responses = [each for each in before if each.checkpoint.operation == MODEL_REQUEST]
    own = [each for each in responses if each.checkpoint.agent_run == step.checkpoint.agent_run]
    for response in [*reversed(own), *reversed([each for each in responses if _is_kin(each, step)])]:
        for call in _calls(response):
            if call.tool_call_id == step.checkpoint.tool_call_id:
                return call.arguments
    return None


def _is_kin(one: Step, other: Step) -> bool:
    """Whether both are of runs of one agent, started in one place: rounds of one conversation, perhaps."""
    return one.checkpoint.agent_run.rpartition("-")[0] == other.checkpoint.agent_run.rpartition("-")[0]


def _outcome(step: Step) -> ToldResult:
    value, checkpoint = step.value, step.checkpoint
    kind = str(value.get("kind") or "")
    said = next((value[name] for name in ("result", "message", "errors", "metadata") if name in value), None)
    return ToldResult(
        tool=checkpoint.operation.removeprefix("tool-"),
        tool_call_id=checkpoint.tool_call_id or "",
        kind=kind,
        result=said,
        is_unknown=checkpoint.outcome_is_unknown,
    )


def _given(step: Step, before: Sequence[Step]) -> tuple[ToldResult, ...]:
    """Return the tool results that a request was made with: those of the calls of the response before it."""
    response = _response_before(step, before)
    if response is None:
        return ()
    runs = {response.checkpoint.agent_run, step.checkpoint.agent_run}
    # A call that was put off comes again in the next round, and that one counts.
    outcomes = {
        outcome.tool_call_id: outcome
        for outcome in (
            _outcome(each)
            for each in before
            if each.number > response.number and each.checkpoint.agent_run in runs and _is_call(each)
        )
    }
    found = [outcomes[call.tool_call_id] for call in _calls(response) if call.tool_call_id in outcomes]
    return tuple(outcome for outcome in found if outcome.kind not in _PUT_OFF)


def _response_before(step: Step, before: Sequence[Step]) -> Step | None:
    """Return the response that a request follows, be it of its agent run or of the round before."""
    responses = [each for each in before if each.checkpoint.operation == MODEL_REQUEST and _is_kin(each, step)]
    own = [each for each in responses if each.checkpoint.agent_run == step.checkpoint.agent_run]
    if own:
        return own[-1]
    # Another run of the agent is the round before only if it ended with a call that was put off.
    put_off = {
        (each.checkpoint.agent_run, each.checkpoint.tool_call_id)
        for each in before
        if _is_call(each) and _outcome(each).kind in _PUT_OFF
    }
    for response in reversed(responses):
        if any((response.checkpoint.agent_run, call.tool_call_id) in put_off for call in _calls(response)):
            return response
    return None
