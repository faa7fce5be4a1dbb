"""The shop's tools: what a model is told about them, and the check of what it calls them with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_ai import Tool

from benchmarks import code
from benchmarks.world.records import changes
from triptych.loop.deps import DeskDeps
from triptych.loop.tools.orders import orders_toolset
from triptych.loop.tools.retail import retail_toolset


class BadCall(ValueError):
    """The shop refuses a call: whoever made it must change it."""


def specs(*, with_code: bool = False) -> list[dict[str, Any]]:
    """Return each tool's `name`, `description`, `parameters` (a JSON schema), and whether it `changes` anything.

    Args:
        with_code: Whether `run_python` is one of them. The shop does not do it: the arm that is told of it does.
    """
    of_the_shop = [
        {
            "name": name,
            "description": tool.description or "",
            "parameters": tool.function_schema.json_schema,
            "changes": changes(name),
        }
        for name, tool in _tools().items()
    ]
    return [*of_the_shop, code.SPEC._asdict()] if with_code else of_the_shop


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
