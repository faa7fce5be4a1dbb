"""The smallest agent: look an order up, refund it. Start from this one when you write your own."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.capabilities import AgentCapability
from pydantic_ai.models import Model

from triptych.loop.deps import DeskDeps, open_deps
from triptych.loop.limits import Limits
from triptych.loop.prompts import load_prompt
from triptych.loop.tools.orders import orders_toolset
from triptych.records import Resolution

__all__ = ["LIMITS", "NAME", "build_agent", "open_deps"]

NAME = "orders"
LIMITS = Limits(steps=5, tokens=100_000, cost_usd=0.5)


def build_agent(
    model: Model | str, *, capabilities: Sequence[AgentCapability[DeskDeps]] = ()
) -> Agent[DeskDeps, Resolution | DeferredToolRequests]:
    """Build the agent; nothing is spent before it runs.

    Args:
        model: What answers, or its pydantic-ai id.
        capabilities: What the runtime adds, such as durability and a budget.

    Returns:
        An agent whose run ends with a `Resolution`, or with the calls that a person has to approve first.
    """
    return Agent(
        model,
        name=NAME,
        deps_type=DeskDeps,
        output_type=[Resolution, DeferredToolRequests],
        instructions=load_prompt(NAME),
        toolsets=[orders_toolset()],
        capabilities=capabilities,
    )
