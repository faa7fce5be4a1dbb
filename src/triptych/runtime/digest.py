"""What goes into a step, reduced to digests: equal for a replay, different as soon as anything that matters changed.

Which field counts, and which does not, is said by name in `digest_fields`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import ModelRequestParameters
from pydantic_core import to_jsonable_python

from triptych.records import InputDigest, StepInputs
from triptych.runtime.digest_fields import ATTEMPT, MESSAGE, PARAMETERS, PART, SETTINGS, TOOL

_MESSAGES: TypeAdapter[list[ModelMessage]] = TypeAdapter(list[ModelMessage])
_MADE_UP_ID = re.compile(r"<(.*):[0-9a-f]{6}>")
_PARAMETERS: TypeAdapter[ModelRequestParameters] = TypeAdapter(ModelRequestParameters)


def digest_of(value: object) -> str:
    """Return the digest of a JSON-like value; what JSON cannot hold counts by its type's name alone."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:32]


def _canonical(value: object) -> str:
    """Return JSON that is the same in every process, whatever its hash seed: keys and sets are sorted."""
    # pydantic would write a set in the order in which this process happens to hold it.
    match value:
        case dict():
            items = sorted((str(key), item) for key, item in _keyed(cast("dict[Any, Any]", value)))
            return "{" + ",".join(f"{_canonical(key)}:{item}" for key, item in items) + "}"
        case set() | frozenset():
            return "[" + ",".join(sorted(map(_canonical, cast("frozenset[object]", value)))) + "]"
        case list() | tuple():
            return "[" + ",".join(map(_canonical, cast("Sequence[object]", value))) + "]"
        case BaseModel():
            return _canonical(dict(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return _canonical({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        case _:
            plain = to_jsonable_python(
                value,
                fallback=lambda other: f"<{type(other).__qualname__}>",
                inf_nan_mode="strings",
                bytes_mode="base64",
            )
            return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _keyed(value: dict[Any, Any]) -> Iterable[tuple[object, str]]:
    return ((key, _canonical(item)) for key, item in value.items())


def _without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in names}


def message_parts(message: ModelMessage) -> tuple[InputDigest, ...]:
    """Return one digest for each part of a message, and one for the rest of it, under names a person understands."""
    dumped = cast("dict[str, Any]", _MESSAGES.dump_python([message], mode="json")[0])
    kind = "request" if isinstance(message, ModelRequest) else "response"
    rest = _without(dumped, MESSAGE.left_out)
    if "failed_attempts" in rest:
        rest["failed_attempts"] = [_without(item, ATTEMPT.left_out) for item in rest["failed_attempts"] or ()]
    parts = [InputDigest(name=kind, digest=digest_of(rest))]
    for part in cast("list[dict[str, Any]]", dumped["parts"]):
        name = " ".join(str(part[key]) for key in ("part_kind", "tool_name", "tool_call_id") if part.get(key))
        parts.append(InputDigest(name=name, digest=digest_of(_without(part, PART.left_out))))
    return tuple(parts)


def static_parts(
    model: str, messages: Sequence[ModelMessage], settings: Mapping[str, Any] | None, parameters: ModelRequestParameters
) -> tuple[InputDigest, ...]:
    """Return the digests of what a request repeats from step to step, tools by name and in their order."""
    dumped = cast("dict[str, Any]", _PARAMETERS.dump_python(parameters))
    written = next((m.instructions for m in reversed(messages) if isinstance(m, ModelRequest)), None)
    instructions = {"written": written, "parts": dumped.get("instruction_parts")}
    other = _without(dumped, PARAMETERS.left_out)
    parts = [
        InputDigest(name="model", digest=digest_of(model)),
        InputDigest(name="instructions", digest=digest_of(instructions)),
        InputDigest(name="settings", digest=digest_of(_without(settings or {}, SETTINGS.left_out))),
        InputDigest(name="request parameters", digest=digest_of(other)),
    ]
    # Tool by tool and in their order, so that a change names the tool.
    for kind, noun in (("function_tools", "tool"), ("output_tools", "output tool")):
        parts += [
            InputDigest(name=f"{noun} {tool['name']}", digest=digest_of(_without(_named(tool), TOOL.left_out)))
            for tool in dumped.get(kind) or ()
        ]
    return tuple(parts)


def _named(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool without what pydantic-ai makes up anew in each run: the end of a capability's id that has none."""
    made_up = _MADE_UP_ID.fullmatch(str(tool.get("capability_id")))
    return tool if made_up is None else {**tool, "capability_id": made_up[1]}


def step_inputs(
    *,
    previous: str,
    static: Sequence[InputDigest] | None,
    known_static: Sequence[InputDigest] | None,
    added: Sequence[InputDigest],
) -> StepInputs:
    """Chain a step's digest to the one before; its cost is that of what the step added."""
    whole = digest_of([(part.name, part.digest) for part in static]) if static is not None else ""
    return StepInputs(
        previous=previous,
        static=whole,
        static_parts=None if static is None or static == known_static else tuple(static),
        added=tuple(added),
        digest=digest_of([previous, whole, [(part.name, part.digest) for part in added]]),
    )


def describe_change(
    recorded: StepInputs,
    now: StepInputs,
    *,
    recorded_static: Sequence[InputDigest] | None,
    static: Sequence[InputDigest] | None,
) -> str:
    """Say in words what differs between the recorded inputs of a step and today's."""
    changes: list[str] = []
    if recorded.static != now.static:
        changes += _differences(recorded_static or (), static or ())
    changes += _differences(recorded.added, now.added)
    if not changes and recorded.previous != now.previous:
        changes.append("what came before this step")
    return "; ".join(changes) or "its inputs"


def _differences(recorded: Sequence[InputDigest], now: Sequence[InputDigest]) -> list[str]:
    before, after = {part.name: part.digest for part in recorded}, {part.name: part.digest for part in now}
    changes = [f"{name} is no longer there" for name in before if name not in after]
    changes += [f"{name} is new" for name in after if name not in before]
    changes += [f"{name} changed" for name in before if name in after and before[name] != after[name]]
    if not changes and [part.name for part in recorded] != [part.name for part in now]:
        changes.append("the order changed: " + ", ".join(part.name for part in now))
    if not changes and list(recorded) != list(now):
        changes.append("a repeated part changed")
    return changes
