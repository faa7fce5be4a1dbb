"""Run an agent in a flow: built with durability and a budget, held to its limits, its figures recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model

from triptych.errors import ConfigurationError, LoopError
from triptych.loop.approvals import run_metadata
from triptych.loop.limits import Limits, WithinLimits, spending
from triptych.records import Spending
from triptych.runtime.approval.asking import Caller, decide
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget
from triptych.runtime.durability import Durability
from triptych.runtime.journal import current_execution
from triptych.runtime.ownership import require

DepsT = TypeVar("DepsT")
OutputT = TypeVar("OutputT")


@dataclass(frozen=True)
class AgentOutcome(Generic[OutputT]):
    """What one agent run came to. A resumed run's is equal to an undisturbed one's."""

    output: OutputT
    spending: Spending
    seconds_to_first_token: float | None
    """From the first model request to its first streamed event, in whichever execution made that request."""


def build_durable(
    build_agent: Callable[..., Agent[DepsT, OutputT]],
    model: Model[Any],
    limits: Limits,
    *,
    more: Sequence[AbstractCapability[Any]] = (),
) -> Agent[DepsT, OutputT]:
    """Build an agent whose every step is checkpointed and whose runs are held to `limits`.

    Args:
        build_agent: The agent's builder, seam 1 of the design: `build_agent(model, *, capabilities=())`.
        model: What answers.
        limits: What one run may spend.
        more: Further capabilities: a workspace, say.

    Raises:
        ConfigurationError: a tool returns what a checkpoint cannot hold.
    """
    return build_agent(model, capabilities=[*more, WithinLimits(limits), Durability()])


async def run_durable(
    agent: Agent[DepsT, Any],
    prompt: str,
    *,
    deps: DepsT,
    limits: Limits,
    policy: ApprovalPolicy | None = None,
    budget: Budget | None = None,
) -> AgentOutcome[Any]:
    """Run an agent from `build_durable` in the body of a flow, approval rounds included.

    Args:
        agent: What to run.
        prompt: What it is told.
        deps: For its tools.
        limits: Those that it was built with; they hold for all rounds together.
        policy: Which calls a person must approve. None: calls that would need approval end the run, as its output.
        budget: What the flow run, its flow and the day may spend, beside the agent's own limits; in force from now on.
            None: the one that an agent before was given stays in force.

    Raises:
        ConfigurationError: outside a flow, or in one whose results are not kept in a `CheckpointStore`; or there is a
            limit in dollars, and the model has no list price.
        BudgetExceeded: a limit was reached; carries what was spent.
        LoopError: the model's answers did not fit, retries included.
        ApprovalExpired: nobody answered, and the policy says fail.
        CheckpointError: a checkpoint cannot be read, written, or used; the operator sees it as the run's failure.
    """
    execution = current_execution()
    if execution is None:
        raise ConfigurationError(f"agent {agent.name!r} is durable: run it in a function decorated with @flow")
    if budget is not None:
        execution.budget = budget
    metadata = None if policy is None else run_metadata(policy.threshold_usd)
    try:
        result = await agent.run(prompt, deps=deps, usage_limits=limits.usage_limits(), metadata=metadata)
        first = execution.first_tokens.get(result.run_id)
        settled, notes = set[str](), list[str]()
        while policy is not None and isinstance(result.output, DeferredToolRequests):
            conversation = result.conversation_id
            caller = Caller(
                agent=agent.name or "",
                conversation_id=conversation,
                words=prompt,
                explanation=_last_words(result.all_messages()),
                parameters=execution.tools.get(conversation, {}),
                usage=result.usage,
            )
            answers = await decide(result.output, caller, policy, settled)
            notes += [answers.note] if answers.note else []
            requests = result.usage.requests
            result = await agent.run(
                "\n".join(notes) or None,
                deps=deps,
                usage_limits=limits.usage_limits(),
                usage=result.usage,
                metadata=metadata,
                message_history=result.all_messages(),
                deferred_tool_results=answers.results,
            )
            # A round that ends with another request for approval has told the model nothing.
            notes = notes if result.usage.requests == requests else []
    except Exception as error:
        if not execution.is_replay:
            # A failure is the owner's to make of the run, as a result is.
            await require(UUID(execution.flow_run_id), execution.number)
        if not isinstance(error, UnexpectedModelBehavior):
            raise
        # The model's answers did not fit what was asked of it: a result of this run, not a fault of the house.
        raise LoopError(f"agent {agent.name!r}: {error}") from error
    return AgentOutcome(
        output=result.output,
        spending=spending(result.usage),
        seconds_to_first_token=first,
    )


def _last_words(messages: Sequence[ModelMessage]) -> str:
    response = next((each for each in reversed(messages) if isinstance(each, ModelResponse)), None)
    return "" if response is None else response.text or ""


def added(first: Spending, second: Spending) -> Spending:
    """Return the sum of two spendings."""
    return Spending(
        steps=first.steps + second.steps,
        tool_calls=first.tool_calls + second.tool_calls,
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        cost_usd=first.cost_usd + second.cost_usd,
    )


def spent_by(error: LoopError) -> Spending:
    """Return what had been spent when an agent failed, as far as its error says."""
    usage: dict[str, Any] = getattr(error, "usage", {})
    return Spending.model_validate({name: value for name, value in usage.items() if name in Spending.model_fields})
