"""Ask a person about a tool call: once, whatever crashes in between, and bound to what was asked.

The wait is Prefect's suspension: the process ends, and whoever resumes the run schedules it again. What was decided is
read from the server's own history of the run's states, and written to the checkpoint store before it is acted upon.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.flow_runs import asuspend_flow_run
from prefect.input.actions import aread_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from pydantic import ValidationError
from pydantic_ai import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.messages import ToolCallPart

from triptych.errors import ApprovalExpired, ConfigurationError
from triptych.loop.approvals import Ask
from triptych.records import ApprovalDecision, ApprovalRequest, Record
from triptych.runtime.approval.form import ApprovalForm, form_for
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.digest import digest_of
from triptych.runtime.journal import Execution, current_execution

RecordT = TypeVar("RecordT", bound=Record)

ROOT = "approvals"
"""The folder of requests and decisions in a store: the ledger."""
GRACE_SECONDS = 86_400.0
"""How long after the deadline Prefect itself would fail the run. Whoever resumes it until then gets the policy's
answer; the recovery loop does so at once."""
_KEY = "approval-"
"""Begins the pause key of every request: by it our waits are told from a flow's own."""


class Caller(NamedTuple):
    """Whose calls are asked about."""

    agent: str
    conversation_id: str
    words: str
    """The customer's."""


async def decide(requests: DeferredToolRequests, caller: Caller, policy: ApprovalPolicy) -> DeferredToolResults:
    """Have each call decided, one after the other; suspends the flow run where a person has not answered yet.

    Args:
        requests: What the agent run ended with.
        caller: Whose calls they are.
        policy: In force for what has not been asked yet.

    Returns:
        An answer for each call, for the agent run that goes on.

    Raises:
        ApprovalExpired: nobody answered, and the policy says fail. The operator sees it as the run's failure.
        ConfigurationError: outside a flow, in one without a deployment, or for calls that something else executes.
        Pause: Prefect's signal that ends this process; not an error.
    """
    execution = current_execution()
    context = FlowRunContext.get()
    if execution is None or context is None or context.flow_run is None:
        raise ConfigurationError("a person's approval can be waited for in a flow run only")
    if requests.calls:
        names = ", ".join(call.tool_name for call in requests.calls)
        raise ConfigurationError(f"agent {caller.agent!r} defers calls that something else is to execute: {names}")
    if context.flow_run.deployment_id is None:
        raise ConfigurationError(
            f"agent {caller.agent!r} asks for a person's approval, and this flow run has no deployment that could go "
            "on with it: run the flow as a deployment"
        )
    results = DeferredToolResults()
    for call in requests.approvals:
        ask = Ask.model_validate(requests.metadata.get(call.tool_call_id) or {"why": "the tool asks for it"})
        request = await _request(execution, call, ask, caller, policy)
        decision = await _decision(execution, request)
        results.approvals[call.tool_call_id] = _answer(request, decision)
        # The tool holds against it what it is about to do.
        results.metadata[call.tool_call_id] = ask.model_dump()
    return results


async def _request(
    execution: Execution, call: ToolCallPart, ask: Ask, caller: Caller, policy: ApprovalPolicy
) -> ApprovalRequest:
    arguments = call.args_as_dict()
    fingerprint = digest_of([call.tool_name, arguments])
    about = digest_of([caller.conversation_id, call.tool_call_id, fingerprint, ask.model_dump()])
    # A pause key takes lower-case letters, digits and dashes.
    request_id = hashlib.sha256(about.encode()).hexdigest()[:16]
    recorded = await _read(execution, request_id, "request", ApprovalRequest)
    if recorded is not None:
        return recorded
    now = datetime.now(UTC)
    request = ApprovalRequest(
        id=request_id,
        flow_run_id=execution.flow_run_id,
        agent=caller.agent,
        tool=call.tool_name,
        tool_call_id=call.tool_call_id,
        arguments=arguments,
        fingerprint=fingerprint,
        why=ask.why,
        amount_usd=ask.amount_usd,
        words=caller.words,
        asked_at=now,
        deadline=now + timedelta(seconds=policy.time_to_live_seconds),
        when_nobody_answers=policy.when_nobody_answers,
    )
    await _write(execution, request_id, "request", request)
    return request


async def _decision(execution: Execution, request: ApprovalRequest) -> ApprovalDecision:
    recorded = await _read(execution, request.id, "decision", ApprovalDecision)
    if recorded is not None:
        return recorded
    asked = await _asked(UUID(request.flow_run_id), request.id)
    if asked.resumed_at is None:
        seconds = (request.deadline - datetime.now(UTC)).total_seconds() + GRACE_SECONDS
        key, form = f"{_KEY}{request.id}-{asked.attempts + 1}", form_for(request)
        # Before the run is suspended. Prefect writes the form afterwards: where a process dies in between, or a person
        # is quicker, the run could not be resumed.
        await form.asave(cast(Any, keyset_from_base_key(f"suspended-{key}")), UUID(request.flow_run_id))
        await asuspend_flow_run(wait_for_input=form, key=key, timeout=math.ceil(max(seconds, 60.0)))
        raise AssertionError("a suspended flow run goes no further")
    filled_in = await _filled_in(UUID(request.flow_run_id), f"{_KEY}{request.id}-{asked.attempts}")
    decision = judged(request, filled_in, asked.resumed_at, asked.attempts)
    await _write(execution, request.id, "decision", decision)
    return decision


def judged(request: ApprovalRequest, form: ApprovalForm, resumed_at: datetime, attempts: int = 1) -> ApprovalDecision:
    """Say what a resumed run's form means. From the deadline on it means nothing: the policy's answer holds.

    Args:
        request: What was asked.
        form: As it was filled in; empty where the run was resumed without.
        resumed_at: When, by the server's clock.
        attempts: How often it was asked.
    """
    name = form.name.strip()
    outcome: Literal["approved", "denied", "expired"]
    way: Literal["form", "policy"] = "form"
    if resumed_at >= request.deadline:
        outcome, way = "expired", "policy"
        reason = "nobody answered in time"
        if form.approve or name:
            reason += f"; the run was resumed by {name or 'somebody'} after the deadline"
    elif form.approve and not name:
        outcome, reason = "denied", "it was approved by nobody: approving needs a name"
    else:
        outcome, reason = "approved" if form.approve else "denied", form.reason.strip()
    return ApprovalDecision(
        request_id=request.id,
        fingerprint=request.fingerprint,
        outcome=outcome,
        claimed_name=name or None,
        way=way,
        reason=reason,
        decided_at=resumed_at,
        attempts=attempts,
    )


def deadline_of(state: State[Any]) -> datetime | None:
    """Return until when a person may decide, of a state that waits for one; None for any other state."""
    ours = state.type == StateType.PAUSED and (state.state_details.pause_key or "").startswith(_KEY)
    if not ours or state.state_details.pause_timeout is None:
        return None
    return state.state_details.pause_timeout - timedelta(seconds=GRACE_SECONDS)


def request_id_of(state: State[Any]) -> str:
    """Return which request a waiting state stands for."""
    return (state.state_details.pause_key or "").removeprefix(_KEY).rpartition("-")[0]


def request_key(flow_run_id: str, request_id: str) -> str:
    """Return where in the store a request stands."""
    return _key(flow_run_id, request_id, "request")


def _answer(request: ApprovalRequest, decision: ApprovalDecision) -> ToolApproved | ToolDenied:
    if decision.fingerprint != request.fingerprint:
        raise ConfigurationError(f"the decision of request {request.id} is about another call; nothing was done")
    if decision.outcome == "approved":
        return ToolApproved()
    if decision.outcome == "expired":
        if request.when_nobody_answers == "fail":
            raise ApprovalExpired(
                f"{request.tool}: nobody approved or denied it until {request.deadline:%Y-%m-%d %H:%M:%S} UTC; it was "
                "not done"
            )
        return ToolDenied("Nobody answered the request for approval in time, so this was not done. It was not refused.")
    reason = f" The reason given: {decision.reason}" if decision.reason else " No reason was given."
    return ToolDenied(f"A person denied this, so it was not done.{reason}")


class _Asked(NamedTuple):
    attempts: int
    resumed_at: datetime | None
    """When the last attempt was resumed; None where it was not, and is to be asked (again)."""


async def _asked(flow_run_id: UUID, request_id: str) -> _Asked:
    """Read from the run's history how often a request was asked, and whether the last time was answered."""
    async with get_client() as client:
        states: list[State[Any]] = await client.read_flow_run_states(flow_run_id)
    states.sort(key=lambda state: state.timestamp)
    attempts, resumed_at = 0, None
    for state, following in zip(states, [*states[1:], None], strict=True):
        if state.type == StateType.PAUSED and (state.state_details.pause_key or "").startswith(f"{_KEY}{request_id}-"):
            attempts += 1
            is_resumed = following is not None and following.name == "Resuming"
            resumed_at = following.timestamp if following is not None and is_resumed else None
    return _Asked(attempts, resumed_at)


async def _filled_in(flow_run_id: UUID, key: str) -> ApprovalForm:
    response = await aread_flow_run_input(
        cast(Any, keyset_from_base_key(f"suspended-{key}")["response"]), flow_run_id=flow_run_id
    )
    try:
        return ApprovalForm.model_validate(response or {})
    except ValidationError:
        # The server validates it as well, but not all that we do: what does not fit approves nothing.
        return ApprovalForm(reason="the form was filled in wrongly")


async def _read(execution: Execution, request_id: str, what: str, record: type[RecordT]) -> RecordT | None:
    content = await execution.store.read(_key(execution.flow_run_id, request_id, what))
    return None if content is None else record.model_validate_json(content)


async def _write(execution: Execution, request_id: str, what: str, record: Record) -> None:
    await execution.store.write(_key(execution.flow_run_id, request_id, what), record.model_dump_json().encode())


def _key(flow_run_id: str, request_id: str, what: str) -> str:
    return f"{ROOT}/{flow_run_id}/{request_id}/{what}.json"
