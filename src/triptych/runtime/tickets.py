"""One ticket's way through the house: triage, then an agent where one is needed, then a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prefect.context import FlowRunContext
from pydantic_ai import Agent
from pydantic_ai.models import Model

from triptych.errors import LoopError
from triptych.loop.agents import AgentModule
from triptych.loop.limits import Limits
from triptych.loop.models import SCRIPTED, Plan, check_plan, plan_for_ticket, plan_for_triage, resolve_model
from triptych.loop.prompts import ticket_prompt
from triptych.loop.triage import LIMITS as TRIAGE_LIMITS
from triptych.loop.triage import build_triage_agent
from triptych.loop.witness import Witness
from triptych.records import Resolution, Spending, Ticket, TicketReport, Triage
from triptych.runtime.agents import AgentOutcome, added, build_durable, run_durable, spent_by
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget
from triptych.runtime.results import seconds_since_it_began
from triptych.settings import Settings


async def answer_ticket(
    ticket: Ticket, agent: AgentModule, settings: Settings, policy: ApprovalPolicy, budget: Budget | None = None
) -> TicketReport:
    """Handle one ticket inside a flow, durably.

    Args:
        ticket: What the customer wants.
        agent: Who handles it when triage says that an agent is needed.
        settings: The model, and what the tools work on.
        policy: Which of the agent's calls a person must approve. Where one has to, the flow run is suspended.
        budget: What may be spent, beside the agents' own limits.

    Returns:
        The report. An agent that failed at its task, by a limit say, is reported as `failed` with its reason.

    Raises:
        ConfigurationError: before anything is spent: no plan, no key, no records.
        ApprovalExpired: nobody approved a call in time, and the policy says fail.
        CheckpointError: a checkpoint cannot be read, written or used.
    """
    work = _Work(ticket, agent, settings, policy, budget)
    with agent.open_deps(settings) as deps:
        try:
            resolution = await work.resolve(deps)
        except LoopError as error:
            return work.report(error=error)
    return work.report(resolution=resolution)


@dataclass
class _Work:
    ticket: Ticket
    module: AgentModule
    settings: Settings
    policy: ApprovalPolicy
    budget: Budget | None
    triage: Triage | None = None
    spent: Spending = field(default_factory=Spending)
    seconds_to_first_token: float | None = None

    def __post_init__(self) -> None:
        # Both before the first request is paid: a ticket that cannot be handled must not cost a triage.
        scripted = self.settings.model == SCRIPTED
        triage_plan = plan_for_triage(self.ticket) if scripted else None
        plan = plan_for_ticket(self.ticket) if scripted else None
        self._triage_agent = build_durable(build_triage_agent, self._model(triage_plan), TRIAGE_LIMITS)
        self._agent = build_durable(self.module.build_agent, self._model(plan), self.module.LIMITS)
        if plan is not None:
            check_plan(plan, self._agent)

    def _model(self, plan: Plan | None) -> Model[Any]:
        witness = self.settings.witness
        return resolve_model(
            self.settings.model,
            plan=plan,
            scripted=self.settings.scripted,
            witness=None if witness is None else Witness(witness),
            request_timeout_seconds=self.settings.request_timeout_seconds,
        )

    async def resolve(self, deps: Any) -> Resolution:
        triaged = await self._run(self._triage_agent, TRIAGE_LIMITS, deps=None)
        triage: Triage = triaged.output
        self.triage = triage
        self.seconds_to_first_token = triaged.seconds_to_first_token
        if not triage.needs_agent:
            return Resolution(outcome="resolved", answer=triage.answer)
        return (await self._run(self._agent, self.module.LIMITS, deps=deps, policy=self.policy)).output

    async def _run(
        self, agent: Agent[Any, Any], limits: Limits, *, deps: Any, policy: ApprovalPolicy | None = None
    ) -> AgentOutcome[Any]:
        prompt = ticket_prompt(self.ticket)
        try:
            done = await run_durable(agent, prompt, deps=deps, limits=limits, policy=policy, budget=self.budget)
        except LoopError as error:
            self.spent = added(self.spent, spent_by(error))
            raise
        self.spent = added(self.spent, done.spending)
        return done

    def report(self, *, resolution: Resolution | None = None, error: LoopError | None = None) -> TicketReport:
        context = FlowRunContext.get()
        flow_run = context.flow_run if context is not None else None
        return TicketReport(
            ticket_id=self.ticket.id,
            flow_run_id=str(flow_run.id) if flow_run is not None else "",
            status="failed" if error is not None else "completed",
            triage=self.triage,
            resolution=resolution,
            error=None if error is None else f"{type(error).__name__}: {error}",
            spending=self.spent,
            seconds_to_first_token=self.seconds_to_first_token,
            duration_seconds=seconds_since_it_began(),
        )
