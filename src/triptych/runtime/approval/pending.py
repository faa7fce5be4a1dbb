"""What waits for a person, and a decision from the command line: the same resume as that of the Prefect UI."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from triptych.errors import CheckpointTorn, ConfigurationError
from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.runtime.approval.form import ApprovalForm
from triptych.runtime.approval.judging import changed_arguments
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.approval.waiting import wait_of, write_mark
from triptych.runtime.queries import flow_runs_tagged
from triptych.runtime.recovery import TAG
from triptych.runtime.store import CheckpointStore

_logger = logging.getLogger(__name__)


class Pending(NamedTuple):
    """One request that nobody has decided."""

    request: ApprovalRequest
    flow_run_name: str
    pause_key: str
    """Which asking of it, to Prefect."""
    age_seconds: float
    seconds_left: float


async def pending(store: CheckpointStore) -> list[Pending]:
    """Return every request that waits for a person, the oldest first.

    Args:
        store: Where the runs keep their checkpoints.
    """
    waiting = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    async with get_client() as client:
        runs = await flow_runs_tagged(client, TAG, state=waiting)
    now = datetime.now(UTC)
    rows: list[Pending] = []
    for run in runs:
        wait = wait_of(run.state)
        try:
            request = None if wait is None else await Ledger(store).request(str(run.id), wait.request_id)
        except CheckpointTorn as error:
            _logger.warning("%s", error)
            continue
        if request is not None and run.state is not None:
            age, left = now - request.asked_at, request.deadline - now
            key = run.state.state_details.pause_key or ""
            rows.append(Pending(request, run.name, key, age.total_seconds(), left.total_seconds()))
    return sorted(rows, key=lambda row: row.request.asked_at)


class Command(NamedTuple):
    """A decision that comes from the command line, or from another system by it."""

    approve: bool
    name: str
    """Who decides; recorded as a claim."""
    reason: str = ""
    arguments: str = ""
    """A JSON object of the arguments that change."""
    fingerprint: str | None = None
    """What the decision is about; None: whatever is pending under the request's id."""


async def decide_by_command(store: CheckpointStore, request_id: str, command: Command) -> ApprovalRequest:
    """Decide a request by resuming its run.

    Args:
        store: Where the run keeps its checkpoints.
        request_id: As `pending` tells it; the beginning is enough where it is unambiguous.
        command: The decision.

    Returns:
        The request that was decided.

    Raises:
        ConfigurationError: no such request is pending, it is about another call, what the decision says cannot be used,
            the deadline has passed, or somebody else was first. Nothing was decided.
    """
    if not command.name.strip():
        raise ConfigurationError("a decision needs the name of who decides: give --name")
    if not request_id.strip():
        raise ConfigurationError("which request? `triptych approvals` lists them")
    found = [row for row in await pending(store) if row.request.id.startswith(request_id)]
    if len(found) > 1:
        raise ConfigurationError(f"more than one request begins with {request_id!r}; `triptych approvals` lists them")
    if not found:
        raise ConfigurationError(await _why_not_pending(store, request_id))
    row = found[0]
    request = row.request
    if command.fingerprint is not None and command.fingerprint != request.fingerprint:
        raise ConfigurationError(
            f"request {request.id} is about another call: its fingerprint is {request.fingerprint}; nothing was decided"
        )
    if row.seconds_left <= 0:
        raise ConfigurationError(f"request {request.id} is past its deadline: the policy's answer holds")
    try:
        ApprovalForm(name=command.name, reason=command.reason, arguments=command.arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"--{first['loc'][0]}: {first['msg']}") from None
    if command.arguments.strip():
        if not command.approve:
            raise ConfigurationError("--arguments changes what is approved; a denial takes none")
        try:
            changed_arguments(request, command.arguments)
        except ValueError as error:
            raise ConfigurationError(f"--arguments: {error}") from None
    answer: dict[str, Any] = {
        "approve": command.approve,
        "name": command.name.strip(),
        "reason": command.reason.strip(),
        "arguments": command.arguments.strip(),
        # Somebody may be quicker, and the run ask about another call by then.
        "request": request.id,
    }
    await write_mark(UUID(request.flow_run_id), row.pause_key, answer)
    async with get_client() as client:
        response = await client.resume_flow_run(UUID(request.flow_run_id), run_input=answer)
    if response.status != SetStateStatus.ACCEPT:
        reason = getattr(response.details, "reason", None) or "the server refused it"
        raise ConfigurationError(f"request {request.id} was not decided by you: {reason}")
    return request


async def find(store: CheckpointStore, request_id: str) -> tuple[ApprovalRequest, ApprovalDecision | None]:
    """Return any request of the ledger, pending or not.

    Raises:
        ConfigurationError: there is none whose id begins so, or more than one.
    """
    ledger = Ledger(store)
    found = [entry for entry in await ledger.ids() if entry[1].startswith(request_id)] if request_id.strip() else []
    request = await ledger.request(*found[0]) if len(found) == 1 else None
    if request is None:
        what = "more than one request begins" if found else "no request begins"
        raise ConfigurationError(f"{what} with {request_id!r}; `triptych approvals` lists what is pending")
    return request, await ledger.decision(request.flow_run_id, request.id)


async def _why_not_pending(store: CheckpointStore, request_id: str) -> str:
    try:
        request, decision = await find(store, request_id)
    except ConfigurationError as error:
        return str(error)
    if decision is None:
        return f"request {request.id} is no longer pending: somebody has answered it, or its run has ended"
    by = f"by {decision.claimed_name} (a claim)" if decision.claimed_name else "by the policy"
    return (
        f"request {request.id} is no longer pending: {decision.outcome} {by}, {decision.decided_at:%Y-%m-%d %H:%M} UTC"
    )


async def load_store(name: str) -> CheckpointStore:
    """Return the saved store.

    Raises:
        ConfigurationError: there is none of that name.
    """
    try:
        return await cast(Any, CheckpointStore).load(name)
    except (ValueError, RuntimeError, ObjectNotFound) as error:
        raise ConfigurationError(f"no block {CheckpointStore.get_block_type_slug()}/{name}: {error}") from error
