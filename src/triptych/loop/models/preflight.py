"""Hold a plan against an agent before the agent's first request, or anything else, is paid for."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset, WrapperToolset

from triptych.loop.models.plan_check import check_turns
from triptych.loop.models.plans import Plan


def check_plan(plan: Plan, agent: Agent[Any, Any]) -> None:
    """Check that every call of a plan fits a tool of the agent.

    Only tools that are there from construction can be looked at. An agent with other toolsets (MCP, dynamic) is left to
    the scripted model's own check, at its first request.

    Raises:
        ConfigurationError: a call does not fit. The operator, who chose ticket and agent, sees it.
    """
    definitions: list[ToolDefinition] = []
    known_in_full = True

    def look(toolset: AbstractToolset[Any]) -> None:
        nonlocal known_in_full
        if isinstance(toolset, FunctionToolset):
            definitions.extend(tool.tool_def for tool in toolset.tools.values())
        elif not isinstance(toolset, WrapperToolset):
            # What a wrapper holds is looked at by itself.
            known_in_full = False

    for toolset in agent.toolsets:
        toolset.apply(look)
    if known_in_full:
        check_turns(plan.turns, ModelRequestParameters(function_tools=definitions))
