"""What a tool may return: values that come back from a checkpoint as they went in.

Refused when the tool is defined, as far as its annotation says, or else when it first returns the value.
"""

from __future__ import annotations

import base64
import dataclasses
import inspect
import math
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NoReturn, cast

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.messages import ToolReturn
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset

from triptych.errors import ConfigurationError

ADVICE = "Return JSON-like values: text, finite numbers, lists, dicts, dataclasses or pydantic models"


def refuse_unserializable_tools(agent: AbstractAgent[Any, Any]) -> None:
    """Look at what the agent's tools are declared to return.

    Raises:
        ConfigurationError: naming the tool and its declared result, when the agent is built.
    """

    def look(toolset: AbstractToolset[Any]) -> None:
        if not isinstance(toolset, FunctionToolset):
            return
        for name, tool in toolset.tools.items():
            declared = _declared_result(tool.function)
            reason = _why_not(declared)
            if reason is not None:
                raise ConfigurationError(
                    f"tool {name!r} of agent {agent.name!r} is declared to return {declared}, "
                    f"which cannot be kept in a checkpoint: {reason}. {ADVICE}"
                )

    for toolset in agent.toolsets:
        toolset.apply(look)


def keepable(result: Any, label: str) -> Any:
    """Return pydantic-ai's record of a tool call in a form that JSON keeps; refuse what it cannot keep.

    Bytes become base64, which is what a model is shown of them anyway.

    Raises:
        ConfigurationError: naming the step, for what can be read once only and for a number that is none; the run
            fails with it, and no checkpoint is written.
    """
    if not hasattr(result, "result"):
        # Something other than a value: a retry, a request for approval.
        return result
    value = result.result
    if isinstance(value, ToolReturn):
        returned = cast("ToolReturn[Any]", value)
        value = dataclasses.replace(
            returned, return_value=_keepable(returned.return_value, label), metadata=_keepable(returned.metadata, label)
        )
    else:
        value = _keepable(value, label)
    return dataclasses.replace(result, result=value)


def _keepable(value: Any, label: str) -> Any:
    match value:
        case float() if not math.isfinite(value):
            _refuse(label, f"{value}, for which JSON has no number")
        case bytes() | bytearray():
            return base64.urlsafe_b64encode(value).decode()
        case dict():
            return {key: _keepable(item, label) for key, item in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [_keepable(item, label) for item in cast("Sequence[Any]", value)]
        case BaseModel():
            # How a model keeps its own fields is its own affair, but for numbers, which would silently become null.
            _keepable(dict(value), label)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            _keepable({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, label)
        case _ if isinstance(value, Iterator | AsyncIterator) or inspect.isawaitable(value):
            _refuse(label, f"a {type(cast(object, value)).__name__}, which can be read once only")
        case _:
            pass
    return value


def _refuse(label: str, what: str) -> NoReturn:
    raise ConfigurationError(f"{label}: it returned {what}: a checkpoint cannot keep that. {ADVICE}")


def _declared_result(function: Callable[..., Any]) -> Any:
    try:
        return typing.get_type_hints(function, include_extras=True).get("return", Any)
    except (NameError, TypeError):
        # Names that only a type checker sees; the value itself is looked at when it is returned.
        return Any


def _why_not(declared: Any) -> str | None:
    if declared is Any or declared is None or declared is type(None):
        return None
    origin = typing.get_origin(declared) or declared
    if isinstance(origin, type):
        if issubclass(origin, ToolReturn):
            return None
        if issubclass(origin, Iterator | AsyncIterator) or origin.__name__ in ("Iterator", "AsyncIterator"):
            return "it can be read once only"
    try:
        TypeAdapter(declared).json_schema(mode="serialization")
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        return str(error).splitlines()[0]
    return None
