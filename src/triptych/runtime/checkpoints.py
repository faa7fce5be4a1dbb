"""A checkpoint as an object in the store: its key, its bytes, and what is wrong when they cannot be read.

An object is three lines: the `Checkpoint` record and the payload, each as JSON, and the digest of both, so that a torn
object is told from a whole one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from triptych.errors import CheckpointTorn
from triptych.records import Checkpoint

REDO = "redo-lost-steps"
"""A person gives a flow run this tag: completed steps that have no checkpoint any more are to be done again."""

ROOT = "checkpoints"
"""The folder of all checkpoints in a store; Prefect's own results lie beside it, in `results`."""
STEPS = "steps"
"""The folder of what flows did once beside their agents' steps."""


GIVEN = 0
"""The execution's number of a checkpoint that was copied from another run."""
_KEY = re.compile(r"(?P<step>.+)\.(?P<execution>\d+)\.json")
_DIGEST_LINE = 65
"""SHA-256 in hexadecimal digits, and a line break."""
_DIGEST_AT_THE_END = re.compile(r"-[0-9a-f]{16}\Z")


def run_prefix(flow_run_id: str) -> str:
    """Where the checkpoints of one flow run lie."""
    return f"{ROOT}/{flow_run_id}"


def step_name(flow_run_id: str, agent_run: str, sequence: int, operation: str, tool_call_id: str | None = None) -> str:
    """Return where a step's checkpoints lie, whoever takes it; O(1), however long the run is.

    The tool call's id is part of the name, since parallel calls share a sequence number; it is hashed, since a
    provider may put anything into it.
    """
    name = f"{sequence:04d}-{plain_name(operation)}"
    if tool_call_id is not None:
        name += f"-{hashlib.sha256(tool_call_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return f"{run_prefix(flow_run_id)}/{agent_run}/{name}"


def checkpoint_key(step: str, execution: int) -> str:
    """Return the object name of a step as one execution took it: no execution writes over another's."""
    return f"{step}.{execution}.json"


def step_and_execution(key: str) -> tuple[str, int]:
    """Return which step a checkpoint is of, and which execution wrote it.

    Raises:
        ValueError: it is not a checkpoint's name.
    """
    matched = _KEY.fullmatch(key)
    if matched is None:
        raise ValueError(f"{key!r} is not the name of a checkpoint")
    return matched["step"], int(matched["execution"])


def plain_name(text: str) -> str:
    """Make `text` safe in an object's name; a digest keeps two texts apart that the cleaning would make equal."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:80]
    # A name of its own that a path would swallow: `a/./b` is `a/b`.
    if cleaned == text and text not in ("", ".", "..") and not _DIGEST_AT_THE_END.search(text):
        return text
    return f"{cleaned}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def took_effect(checkpoint: Checkpoint, value: object) -> bool:
    """Whether a step changed something outside, as far as is known; a tool that does not say may have.

    Args:
        checkpoint: The step's.
        value: Its payload, as JSON has it.
    """
    is_call = checkpoint.tool_call_id is not None and checkpoint.operation.startswith("tool-")
    kind = cast("Mapping[str, Any]", value).get("kind") if isinstance(value, Mapping) else None
    return is_call and kind in ("tool_return", "tool_content_result") and checkpoint.side_effects is not False


def encode(checkpoint: Checkpoint, payload: bytes) -> bytes:
    """Return the object's bytes."""
    content = checkpoint.model_dump_json(exclude_none=True).encode() + b"\n" + payload + b"\n"
    return content + _digest_of(content).encode() + b"\n"


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def decode(key: str, content: bytes) -> tuple[Checkpoint, bytes]:
    """Return a checkpoint's record and payload.

    Raises:
        CheckpointTorn: when the object is not whole, is not a checkpoint, or belongs to another key. The operator sees
            it as the run's failure.
    """
    whole, digest = content[:-_DIGEST_LINE], content[-_DIGEST_LINE:]
    if digest != _digest_of(whole).encode() + b"\n":
        raise _torn(key, "its bytes are not those that were written")
    header, _, payload = whole[:-1].partition(b"\n")
    try:
        checkpoint = Checkpoint.model_validate_json(header)
    except ValidationError as error:
        raise _torn(key, "its first line is not a checkpoint record") from error
    if checkpoint.key != key:
        raise _torn(key, f"it was written as {checkpoint.key}")
    return checkpoint, payload


def _torn(key: str, reason: str) -> CheckpointTorn:
    return CheckpointTorn(
        f"checkpoint {key} cannot be used: {reason}. If the step it stands for may be done again, delete the "
        f"object, give the run the tag {REDO!r} and run it again; otherwise restore it from a backup"
    )
