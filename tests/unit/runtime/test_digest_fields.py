"""Every field of the installed pydantic-ai that can go into a model request is classified by name.

When this fails after an upgrade: read what the new field is, put its name into `triptych.runtime.digest_fields`, and
say in the changelog whether runs that are under way can still be resumed.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any, cast

import pytest
import typing_extensions
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelRequestAttempt, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.native_tools import AbstractNativeTool
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from triptych.runtime import digest_fields
from triptych.runtime.digest_fields import (
    ATTEMPT,
    MESSAGE,
    OUTPUT,
    PARAMETERS,
    PART,
    SETTINGS,
    TOOL,
    VALUE,
    Fields,
)


def reachable(annotation: Any, seen: set[type[Any]] | None = None) -> Iterator[type[Any]]:
    """The dataclasses and typed dicts that a type is made of, itself included."""
    seen = set() if seen is None else seen
    annotation = getattr(annotation, "__value__", annotation)
    for argument in typing.get_args(annotation):
        yield from reachable(argument, seen)
    kind: Any = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind in seen:
        return
    seen.add(kind)
    if dataclasses.is_dataclass(cast(Any, kind)) or typing_extensions.is_typeddict(kind):
        yield kind
        for hint in typing_extensions.get_type_hints(kind, include_extras=True).values():
            yield from reachable(hint, seen)


def names_of(kind: type[Any]) -> set[str]:
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(cast(Any, kind))}
    return set(typing_extensions.get_type_hints(kind))


def group_of(kind: type[Any]) -> Fields:
    if kind in (ModelRequest, ModelResponse):
        return MESSAGE
    exact = {
        ModelRequestAttempt: ATTEMPT,
        ModelRequestParameters: PARAMETERS,
        ToolDefinition: TOOL,
        OutputObjectDefinition: OUTPUT,
        ModelSettings: SETTINGS,
    }
    return exact.get(kind) or (PART if "part_kind" in names_of(kind) else VALUE)


KINDS = sorted(
    {
        kind
        for root in (ModelMessage, ModelRequestParameters, ToolDefinition)
        for kind in [*reachable(root), ModelSettings]
        # A native tool's configuration is all for the provider, and hashed whole whatever it holds.
        if not issubclass(kind, AbstractNativeTool)
    },
    key=lambda kind: kind.__qualname__,
)


def unclassified(kind: type[Any]) -> set[str]:
    return names_of(kind) - group_of(kind).known


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__qualname__)
def test_every_field_is_classified(kind: type[Any]) -> None:
    # A setting is hashed with all that it holds.
    if typing_extensions.is_typeddict(kind) and kind is not ModelSettings:
        return
    assert unclassified(kind) == set()


def test_no_name_is_left_over_from_a_release_that_had_it() -> None:
    for group in (MESSAGE, ATTEMPT, PART, VALUE, PARAMETERS, TOOL, OUTPUT, SETTINGS):
        there = {name for kind in KINDS if group_of(kind) is group for name in names_of(kind)}
        assert group.known - there == set()


def test_no_field_is_in_two_sets() -> None:
    for name, group in vars(digest_fields).items():
        if isinstance(group, Fields):
            sets = [group.hashed, group.volatile, group.apart, group.unseen]
            assert sum(map(len, sets)) == len(group.known), name


def test_a_new_field_is_noticed() -> None:
    @dataclasses.dataclass
    class TomorrowsPart:
        content: str
        tomorrow: str
        part_kind: str = "tomorrow"

    assert unclassified(TomorrowsPart) == {"tomorrow"}
    assert {kind.__qualname__ for kind in KINDS} >= {
        "ToolReturnPart",
        "RequestUsage",
        "ModelSettings",
        "InstructionPart",
    }
