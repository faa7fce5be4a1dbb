"""The single call: what a ticket is about, and whether it needs an agent at all. One model request, no tools."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType

from pydantic_ai import Agent
from pydantic_ai.capabilities import AgentCapability
from pydantic_ai.models import Model

from triptych.loop.limits import Limits
from triptych.loop.prompts import load_prompt
from triptych.records import Triage

NAME = "triage"
LIMITS = Limits(steps=1, tokens=20_000, cost_usd=0.1)


def build_triage_agent(
    model: Model | str, *, capabilities: Sequence[AgentCapability[None]] = ()
) -> Agent[None, Triage]:
    """Build the agent of the single call; nothing is spent before it runs.

    Args:
        model: What answers, or its pydantic-ai id.
        capabilities: What the runtime adds, such as durability and a budget.

    Returns:
        An agent that answers with a `Triage`. Run it with `LIMITS`. An answer that does not fit is not asked for
        again: the run then fails with pydantic-ai's `UnexpectedModelBehavior`.
    """
    return Agent(
        model,
        name=NAME,
        deps_type=NoneType,
        output_type=Triage,
        instructions=load_prompt(NAME),
        capabilities=capabilities,
        retries=0,
    )
