"""What waits for a person, and a decision from the command line: the same resume as that of the Prefect UI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound

from triptych.errors import ConfigurationError
from triptych.records import ApprovalRequest
from triptych.runtime.approval.asking import deadline_of, request_id_of, request_key
from triptych.runtime.queries import flow_runs_tagged
from triptych.runtime.recovery import TAG
from triptych.runtime.store import CheckpointStore


class Pending(NamedTuple):
    """One request that nobody has decided."""

    request: ApprovalRequest
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
        found = [await _request(store, run) for run in runs]
    now = datetime.now(UTC)
    rows = [
        Pending(request, (now - request.asked_at).total_seconds(), (request.deadline - now).total_seconds())
        for request in found
        if request is not None
    ]
    return sorted(rows, key=lambda row: row.request.asked_at)


async def decide_by_command(
    store: CheckpointStore, request_id: str, *, approve: bool, name: str, reason: str
) -> ApprovalRequest:
    """Approve or deny a request by resuming its run.

    Args:
        store: Where the run keeps its checkpoints.
        request_id: As `pending` tells it; the beginning is enough where it is unambiguous.
        approve: The decision.
        name: Who decides; recorded as a claim.
        reason: Why.

    Returns:
        The request that was decided.

    Raises:
        ConfigurationError: no such request is pending, its deadline has passed, or somebody else was first.
    """
    if not name.strip():
        raise ConfigurationError("a decision needs the name of who decides: give --name")
    matching = [row for row in await pending(store) if row.request.id.startswith(request_id)]
    if len(matching) != 1:
        what = "more than one request begins" if matching else "no pending request begins"
        raise ConfigurationError(f"{what} with {request_id!r}; `triptych approvals` lists them")
    request, _, seconds_left = matching[0]
    if seconds_left <= 0:
        raise ConfigurationError(f"request {request.id} is past its deadline: the policy's answer holds")
    async with get_client() as client:
        await _resume(client, request, {"approve": approve, "name": name.strip(), "reason": reason.strip()})
    return request


async def _resume(client: PrefectClient, request: ApprovalRequest, answer: dict[str, Any]) -> None:
    response = await client.resume_flow_run(UUID(request.flow_run_id), run_input=answer)
    if response.status != SetStateStatus.ACCEPT:
        reason = getattr(response.details, "reason", None) or "the server refused it"
        raise ConfigurationError(f"request {request.id} was not decided: {reason}")


async def _request(store: CheckpointStore, run: FlowRun) -> ApprovalRequest | None:
    if run.state is None or deadline_of(run.state) is None:
        return None
    content = await store.read(request_key(str(run.id), request_id_of(run.state)))
    return None if content is None else ApprovalRequest.model_validate_json(content)


async def load_store(name: str) -> CheckpointStore:
    """Return the saved store.

    Raises:
        ConfigurationError: there is none of that name.
    """
    try:
        return await cast(Any, CheckpointStore).load(name)
    except (ValueError, ObjectNotFound) as error:
        raise ConfigurationError(f"no block {CheckpointStore.get_block_type_slug()}/{name}: {error}") from error
