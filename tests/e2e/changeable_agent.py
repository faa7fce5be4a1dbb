"""The smallest agent; what it is told to do stands in the environment, so that a test can change it like code."""

from __future__ import annotations

import os
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models import Model

from triptych.loop.agents import orders
from triptych.loop.agents.orders import LIMITS, NAME, open_deps

__all__ = ["LIMITS", "NAME", "build_agent", "open_deps"]

ADDED = "TESTS_ADDED_INSTRUCTIONS"


def build_agent(model: Model[Any], *, capabilities: Any = ()) -> Agent[Any, Any]:
    agent = orders.build_agent(model, capabilities=capabilities)
    if added := os.environ.get(ADDED):
        agent.instructions(lambda: added)
    return agent
