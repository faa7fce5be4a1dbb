"""The coding agent: the harness's `Coder` over whatever workspace the runtime supplies.

The loop knows neither Docker nor the broker: the capabilities that `build_agent` is given bring the workspace, and a
run without one is refused at its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import AgentCapability, PrepareTools
from pydantic_ai.models import Model
from pydantic_ai.tools import ToolDefinition
from pydantic_ai_harness.coder import Coder

from triptych.fixes import Fix, FixLimits
from triptych.loop.limits import Limits
from triptych.loop.prompts import load_prompt

__all__ = ["LIMITS", "NAME", "build_agent", "limits_of"]

NAME = "coding"


def limits_of(limits: FixLimits) -> Limits:
    """Return a task's limits as a run of this agent takes them; its seconds are the runtime's to hold."""
    return Limits(steps=limits.steps, tokens=limits.tokens, cost_usd=limits.cost_usd)


LIMITS = limits_of(FixLimits())


def build_agent(model: Model | str, *, capabilities: Sequence[AgentCapability[None]] = ()) -> Agent[None, Fix]:
    """Build the agent; nothing is spent before it runs.

    Args:
        model: What answers, or its pydantic-ai id.
        capabilities: What the runtime adds: the workspace, durability, a budget.

    Returns:
        An agent whose run ends with a `Fix`.
    """
    return Agent(
        model,
        name=NAME,
        deps_type=type(None),
        output_type=Fix,
        capabilities=[*capabilities, Coder[None](instructions=load_prompt(NAME), sub_agents=False), _one_by_one()],
    )


def _one_by_one() -> PrepareTools[None]:
    """Run one tool at a time: each leaves the files as its step's snapshot is to have them."""

    async def prepare(ctx: RunContext[None], tools: list[ToolDefinition]) -> list[ToolDefinition]:
        return [replace(tool, sequential=True) for tool in tools]

    return PrepareTools(prepare)
