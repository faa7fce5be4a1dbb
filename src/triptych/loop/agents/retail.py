"""The retail support agent: 16 tools over the order desk."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.capabilities import AgentCapability
from pydantic_ai.models import Model

from triptych.loop.deps import DeskDeps, open_deps
from triptych.loop.limits import Limits
from triptych.loop.prompts import load_prompt
from triptych.loop.tools.retail import retail_toolset
from triptych.records import Resolution

__all__ = ["LIMITS", "NAME", "build_agent", "open_deps"]

NAME = "retail"
LIMITS = Limits(steps=30, tokens=1_000_000, cost_usd=5.0)


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
        toolsets=[retail_toolset()],
        capabilities=capabilities,
    )
