"""Ask a person about tool calls: once each, whatever crashes in between, and bound to what was asked.

The request is written to the store before anybody is asked, and what was decided before it is acted upon.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from prefect.context import FlowRunContext
from pydantic_ai import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.usage import RunUsage

from triptych.errors import ApprovalExpired, ConfigurationError, LoopError
from triptych.loop.approvals import Ask, approved
from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.runtime.approval.announcing import announce
from triptych.runtime.approval.judging import Answer, Refused, expired, is_plain, judged
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.approval.waiting import answer_to, attempts, wait
from triptych.runtime.budget import require_budget
from triptych.runtime.digest import digest_of
from triptych.runtime.journal import Execution, current_execution
from triptych.runtime.ownership import RecordEnds, require


class Caller(NamedTuple):
    """Whose calls are asked about."""

    agent: str
    conversation_id: str
    words: str
    """What the agent was told: the customer's words, say."""
    explanation: str
    """What the agent said with its calls."""
    parameters: dict[str, dict[str, Any]]
    """The JSON schema of each tool, by its name."""
    usage: RunUsage
    """What the agent run has used so far."""
    change: str = ""
    """What its call would change, as a person reads it."""


class Answers(NamedTuple):
    """What the agent run goes on with."""

    results: DeferredToolResults
    note: str | None
    """What the agent has to be told beside the results: which calls a person changed."""


async def decide(requests: DeferredToolRequests, caller: Caller, policy: ApprovalPolicy, settled: set[str]) -> Answers:
    """Have each call decided, one after the other; ends this process where a person takes longer than the run is held.

    Args:
        requests: What the agent run ended with.
        caller: Whose calls they are.
        policy: In force for what has not been asked yet.
        settled: The ids of the requests that earlier rounds of this agent run settled; these are added.

    Raises:
        BudgetExceeded: a person would have to be asked, and the budget is spent.
        LoopError: a call that was approved asks about the same again.
        ApprovalExpired: nobody answered, and the policy says fail. The operator sees it as the run's failure.
        ConfigurationError: outside a flow, or for calls that something else executes.
        Pause: Prefect's signal that ends this process; not an error.
    """
    execution = current_execution()
    context = FlowRunContext.get()
    if execution is None or context is None or context.flow_run is None:
        raise ConfigurationError("a person's approval can be waited for in a flow run only")
    if requests.calls:
        names = ", ".join(call.tool_name for call in requests.calls)
        raise ConfigurationError(f"agent {caller.agent!r} defers calls that something else is to execute: {names}")
    # One without a deployment cannot be scheduled again; it waits in this process, for as long as there is.
    desk = _Desk(execution, caller, policy, can_suspend=context.flow_run.deployment_id is not None)
    results, notes = DeferredToolResults(), list[str]()
    for call in requests.approvals:
        if not is_plain(call.args_as_dict()):
            results.approvals[call.tool_call_id] = ToolDenied(
                "Its arguments cannot be shown to a person as they are (a number that is not finite, say), so nobody "
                "was asked, and it was not done."
            )
            continue
        ask = Ask.model_validate(requests.metadata.get(call.tool_call_id) or {"why": "the tool asks for it"})
        request, decision = await desk.settled(call, ask)
        if request.id in settled:
            raise LoopError(
                f"{call.tool_name} was approved and asks about the same again: what it would do does not stay the same"
            )
        settled.add(request.id)
        if decision.outcome != "approved":
            results.approvals[call.tool_call_id] = _denial(request, decision)
            continue
        arguments = request.arguments if decision.arguments is None else decision.arguments
        is_changed = arguments != call.args_as_dict()
        results.approvals[call.tool_call_id] = ToolApproved(override_args=arguments if is_changed else None)
        # The tool holds against it what it is about to do.
        results.metadata[call.tool_call_id] = approved(ask, is_changed=is_changed)
        if is_changed:
            notes.append(
                f"A person approved {call.tool_name} with other arguments, which its result is of: {arguments}"
            )
    return Answers(results, "\n".join(notes) or None)


@dataclass(frozen=True)
class _Desk:
    execution: Execution
    caller: Caller
    policy: ApprovalPolicy
    can_suspend: bool

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.execution.store)

    async def settled(self, call: ToolCallPart, ask: Ask) -> tuple[ApprovalRequest, ApprovalDecision]:
        """Ask about one call, the next person too where the policy says so."""
        request = await self._recorded(self._new(call, ask))
        while (decision := await self._decision(request)).outcome == "escalated":
            request = await self._recorded(_next(request))
        return request, decision

    def _new(self, call: ToolCallPart, ask: Ask) -> ApprovalRequest:
        arguments = call.args_as_dict() if ask.changed_arguments is None else ask.changed_arguments
        fingerprint = digest_of([call.tool_name, arguments])
        otherwise = self.policy.when_nobody_answers
        if otherwise == "approve" and not ask.policy_may_approve:
            otherwise = "deny"
        now = datetime.now(UTC)
        return ApprovalRequest(
            id=request_id(self.caller.conversation_id, call.tool_call_id, fingerprint, ask.amount_usd, ask.why),
            flow_run_id=self.execution.flow_run_id,
            agent=self.caller.agent,
            tool=call.tool_name,
            tool_call_id=call.tool_call_id,
            arguments=arguments,
            parameters=self.caller.parameters.get(call.tool_name, {}),
            fingerprint=fingerprint,
            why=ask.why,
            explanation=self.caller.explanation,
            change=self.caller.change,
            amount_usd=ask.amount_usd,
            words=self.caller.words,
            asked_of=self.policy.ask,
            escalates_to=tuple(self.policy.escalate_to) if otherwise == "escalate" else (),
            asked_at=now,
            hold_until=now + timedelta(seconds=self.policy.hold_for_seconds),
            deadline=now + timedelta(seconds=self.policy.time_to_live_seconds),
            when_nobody_answers=otherwise,
        )

    async def _recorded(self, request: ApprovalRequest) -> ApprovalRequest:
        """Return the request as it was first recorded, with the policy that was in force then."""
        recorded = await self.ledger.request(request.flow_run_id, request.id)
        if recorded is None:
            # Whatever the answer is, a run whose budget is spent could do nothing with it.
            await require_budget(self.execution, self.caller.usage)
            await self.ledger.write_request(request)
        return recorded or request

    async def _decision(self, request: ApprovalRequest) -> ApprovalDecision:
        recorded = await self.ledger.decision(request.flow_run_id, request.id)
        if recorded is None and self.execution.is_replay:
            raise RecordEnds(f"the decision about {request.tool}")
        decision = recorded or await self._asked(request)
        if decision.fingerprint != request.fingerprint:
            raise ConfigurationError(f"the decision of request {request.id} is about another call; nothing was done")
        if recorded is None:
            await announce(request, decision)
            await self.ledger.write_decision(request, decision)
        return decision

    async def _asked(self, request: ApprovalRequest) -> ApprovalDecision:
        """Read what was answered, or ask (again)."""
        flow_run_id = UUID(request.flow_run_id)
        while True:
            before = await attempts(flow_run_id, request.id)
            refused = ""
            for attempt in before:
                answer = await answer_to(flow_run_id, attempt)
                judgement = judged(request, answer) if isinstance(answer, Answer) else answer
                if isinstance(judgement, Refused):
                    refused = judgement.reason
                elif judgement is not None:
                    return judgement
            number = before[-1].number if before else 0
            if request.deadline <= (now := datetime.now(UTC)):
                return expired(request, now, number)
            if number == 0:
                await announce(request)
            # Whoever does not own the run may not hold it, nor suspend it.
            await require(flow_run_id, self.execution.number)
            # A hold that ends and the suspension after it are one time of asking.
            is_same = bool(before) and before[-1].has_let_go
            await wait(request, number if is_same else number + 1, refused=refused, can_suspend=self.can_suspend)


def _next(request: ApprovalRequest) -> ApprovalRequest:
    """Return what the next person is asked, for as long as the one before was."""
    now = datetime.now(UTC)
    rest = request.escalates_to[1:]
    return request.model_copy(
        update={
            "id": escalated_id(request.id),
            "asked_of": request.escalates_to[0],
            "escalates_to": rest,
            "asked_at": now,
            "hold_until": now + (request.hold_until - request.asked_at),
            "deadline": now + (request.deadline - request.asked_at),
            "when_nobody_answers": "escalate" if rest else "deny",
        }
    )


def request_id(conversation_id: str, tool_call_id: str, fingerprint: str, amount_usd: float | None, why: str) -> str:
    """Return what a request about a call is known by."""
    return _id(conversation_id, tool_call_id, fingerprint, str(amount_usd), why)


def escalated_id(request_id: str) -> str:
    """Return what the request to the next person is known by."""
    return _id(request_id, "escalated")


def _id(*about: str) -> str:
    # A pause key takes lower-case letters, digits and dashes.
    return hashlib.sha256(digest_of(list(about)).encode()).hexdigest()[:16]


def _denial(request: ApprovalRequest, decision: ApprovalDecision) -> ToolDenied:
    if decision.outcome == "expired":
        if request.when_nobody_answers == "fail":
            raise ApprovalExpired(
                f"{request.tool}: nobody approved or denied it until {request.deadline:%Y-%m-%d %H:%M:%S} UTC; it was "
                "not done"
            )
        return ToolDenied("Nobody answered the request for approval in time, so this was not done. It was not refused.")
    reason = f" The reason given: {decision.reason}" if decision.reason else " No reason was given."
    return ToolDenied(f"A person denied this, so it was not done.{reason}")
