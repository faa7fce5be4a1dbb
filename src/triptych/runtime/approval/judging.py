"""What an answer means: pure rules over a request, a form and a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast

from jsonschema import Draft202012Validator, SchemaError
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.runtime.approval.form import ApprovalForm
from triptych.runtime.digest import digest_of

UNIDENTIFIED = "unidentified"
"""Who decided where nobody gave a name."""


class Refused(NamedTuple):
    """An answer that cannot be used: the person is told why, and asked again."""

    reason: str


class Answer(NamedTuple):
    """What somebody resumed the run with."""

    filled_in: Mapping[str, Any] | None
    """None and empty are the same: the form's defaults hold."""
    resumed_at: datetime
    """By the server's clock."""
    way: Literal["form", "command"] = "form"
    attempts: int = 1
    """How often it was asked until then."""


def judged(request: ApprovalRequest, answer: Answer) -> ApprovalDecision | Refused:
    """Say what an answer means. From the deadline on it means nothing: the policy's answer holds."""
    try:
        form = ApprovalForm.model_validate(answer.filled_in or {})
    except ValidationError as error:
        # The server checks the form's schema first; whoever got past that has still approved nothing.
        return Refused(f"the form does not fit: {error.errors(include_url=False)[0]['msg']}")
    # Without a letter or a digit it is no name, whatever a browser makes of it.
    name = form.name.strip() if any(map(str.isalnum, form.name)) else ""
    if answer.resumed_at >= request.deadline:
        late = f"; {name or 'somebody'} answered after the deadline" if answer.filled_in else ""
        return expired(request, answer.resumed_at, answer.attempts, note=late)
    if form.request.strip() not in ("", request.id):
        return Refused(f"it was meant for another request, {form.request.strip()}")
    outcome: Literal["approved", "denied"] = "approved" if form.approve and name else "denied"
    reason, arguments = form.reason.strip(), None
    if form.approve and not name:
        reason = "it was approved by nobody: approving needs a name"
    elif form.approve and form.arguments.strip():
        try:
            arguments = changed_arguments(request, form.arguments)
        except ValueError as error:
            return Refused(f"the changed arguments cannot be used: {error}")
    return ApprovalDecision(
        request_id=request.id,
        fingerprint=request.fingerprint,
        outcome=outcome,
        arguments=arguments,
        claimed_name=name or UNIDENTIFIED,
        way=answer.way,
        reason=reason,
        decided_at=answer.resumed_at,
        attempts=answer.attempts,
    )


def expired(request: ApprovalRequest, at: datetime, attempts: int, note: str = "") -> ApprovalDecision:
    """Return the policy's answer, which holds from the deadline on.

    Args:
        request: What nobody answered.
        at: When that was found, by the server's clock where the run was resumed.
        attempts: How often it was asked.
        note: Put behind the reason.
    """
    outcome: Literal["approved", "expired", "escalated"] = "expired"
    reason = "nobody answered in time"
    if request.when_nobody_answers == "approve":
        outcome = "approved"
    elif request.when_nobody_answers == "escalate":
        outcome, reason = "escalated", f"{reason}; {request.escalates_to[0]} is asked next"
    return ApprovalDecision(
        request_id=request.id,
        fingerprint=request.fingerprint,
        outcome=outcome,
        way="policy",
        reason=reason + note,
        decided_at=at,
        attempts=attempts,
    )


def changed_arguments(request: ApprovalRequest, text: str) -> dict[str, Any] | None:
    """Return all arguments of the call, with a person's changes; None where they change nothing.

    Args:
        request: What was asked.
        text: A JSON object of those that change.

    Raises:
        ValueError: it is none, or the call does not fit the tool's schema with it. Says where.
    """
    if not request.parameters:
        raise ValueError("what this tool takes is not known, so it can be approved or denied as it stands only")
    try:
        changes: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON object: {error}") from None
    if not isinstance(changes, dict):
        raise ValueError("not a JSON object")
    arguments = request.arguments | cast("dict[str, Any]", changes)
    try:
        # A tool's schema describes its top level alone; an argument that it does not name is a slip of the pen.
        validator = Draft202012Validator({"additionalProperties": False, **request.parameters})
        problems = sorted(validator.iter_errors(arguments), key=lambda error: [str(part) for part in error.path])  # pyright: ignore[reportUnknownMemberType]
    except SchemaError as error:
        raise ValueError(f"the tool's own schema is wrong: {error.message}") from None
    if problems:
        raise ValueError(
            "; ".join(f"{'.'.join(map(str, each.path)) or 'arguments'}: {each.message}" for each in problems)
        )
    if not is_plain(arguments):
        raise ValueError("a number is not finite, a character is none, or it is nested too deeply")
    # By digest: to Python, 1 and true are the same.
    return None if digest_of(arguments) == digest_of(request.arguments) else arguments


def is_plain(arguments: Mapping[str, Any]) -> bool:
    """Whether a call's arguments can be written down as JSON, and read again as they are."""
    try:
        json.dumps(arguments, allow_nan=False, ensure_ascii=False).encode()
        return bool(from_json(to_json(arguments)) == arguments)
    except (TypeError, ValueError, RecursionError):
        return False


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON's")
