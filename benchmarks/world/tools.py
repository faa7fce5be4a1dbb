"""The shop's tools: what a model is told about them, and the check of what it calls them with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_ai import Tool

from benchmarks.world.records import changes
from triptych.loop.deps import DeskDeps
from triptych.loop.tools.orders import orders_toolset
from triptych.loop.tools.retail import retail_toolset


class BadCall(ValueError):
    """The shop refuses a call: whoever made it must change it."""


def specs() -> list[dict[str, Any]]:
    """Return each tool's `name`, `description`, `parameters` (a JSON schema), and whether it `changes` anything."""
    return [
        {
            "name": name,
            "description": tool.description or "",
            "parameters": tool.function_schema.json_schema,
            "changes": changes(name),
        }
        for name, tool in _tools().items()
    ]


def checked(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments as the tool takes them.

    Args:
        name: The tool's.
        arguments: As they came.

    Raises:
        BadCall: there is no such tool, or it does not take these.
    """
    tool = _tools().get(name)
    if tool is None:
        raise BadCall(f"there is no tool {name!r}")
    try:
        return tool.function_schema.validator.validate_python(dict(arguments))
    except ValidationError as reason:
        first = reason.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadCall(f"{name} does not take these arguments: {where}: {first['msg']}") from reason


@cache
def _tools() -> dict[str, Tool[DeskDeps]]:
    return {**retail_toolset().tools, **orders_toolset().tools}
