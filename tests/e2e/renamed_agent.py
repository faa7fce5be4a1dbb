"""The smallest agent under another name, and so with other names of its steps."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.models import Model

from triptych.loop.agents.orders import LIMITS, open_deps
from triptych.loop.deps import DeskDeps
from triptych.loop.tools.orders import orders_toolset
from triptych.records import Resolution

__all__ = ["LIMITS", "NAME", "build_agent", "open_deps"]

NAME = "renamed"


def build_agent(model: Model[Any], *, capabilities: Any = ()) -> Agent[DeskDeps, Any]:
    return Agent(
        model,
        name=NAME,
        deps_type=DeskDeps,
        output_type=[Resolution, DeferredToolRequests],
        toolsets=[orders_toolset()],
        capabilities=capabilities,
    )
