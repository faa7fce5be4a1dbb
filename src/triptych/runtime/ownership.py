"""Who owns a flow run: of several executions, the one that claimed it last.

A claim is an input of the flow run with a number in its key. The server lets one writer have each key, so two
executions never hold the same number, and whoever looks sees at once whether somebody came after.
"""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.exceptions import Abort, PrefectHTTPStatusError

from triptych.errors import ExecutionSuperseded

_PREFIX = "triptych-execution-"
_MOST = 10_000
"""Executions of one run; far beyond what recovery and approvals can come to."""


class Stopped(Abort):
    """Ends an execution that may not go on, and leaves the run's state to its owner.

    Prefect takes an `Abort` as the end of this process, and proposes no state for the run. An exception of another kind
    would make the run Failed under the hands of its owner. Its cause is the `ExecutionSuperseded`.
    """


class RecordEnds(Abort):
    """Ends a replay where the run would do something that is not in its record.

    Attributes:
        at: What it would do.
    """

    def __init__(self, at: str) -> None:
        super().__init__(f"the record ends before {at}")
        self.at = at


def claim(flow_run_id: UUID) -> int:
    """Make this execution the owner of a flow run.

    Returns:
        Its number, from 1; higher than that of every execution before it.

    Raises:
        Stopped: the API does not answer.
    """
    token = f'"{uuid.uuid4().hex}"'
    number = 1
    try:
        with get_client(sync_client=True) as client:
            while not _is_claimed(client, flow_run_id, number, token):
                number = _last(client, flow_run_id) + 1
    except HTTPError as error:
        raise _unknown(flow_run_id, error) from error
    return number


async def require(flow_run_id: UUID, number: int, client: PrefectClient | None = None) -> None:
    """Go on only where nobody has claimed the run since.

    Args:
        flow_run_id: The run.
        number: This execution's.
        client: One that is open in this event loop; to make one takes longer than to ask.

    Raises:
        Stopped: another execution owns the run, or the API does not answer, so that this cannot be known.
    """
    try:
        async with get_client() if client is None else nullcontext(client) as asked:
            await asked.read_flow_run_input(flow_run_id, _key(number + 1))
    except HTTPError as error:
        if isinstance(error, PrefectHTTPStatusError) and error.response.status_code == 404:
            return
        raise _unknown(flow_run_id, error) from error
    superseded = ExecutionSuperseded(
        f"execution {number} of flow run {flow_run_id} is superseded: another one has begun since and owns the run. "
        "This one stops before it does anything more"
    )
    raise Stopped(str(superseded)) from superseded


def _key(number: int) -> str:
    return f"{_PREFIX}{number}"


def _is_claimed(client: SyncPrefectClient, flow_run_id: UUID, number: int, token: str) -> bool:
    try:
        client.create_flow_run_input(flow_run_id, _key(number), token)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != 409:
            raise
        # Ours after all where the answer to the first try was lost, and Prefect's client tried again.
        return client.read_flow_run_input(flow_run_id, _key(number)) == token
    return True


def _last(client: SyncPrefectClient, flow_run_id: UUID) -> int:
    claims = client.filter_flow_run_input(flow_run_id, _PREFIX, limit=_MOST, exclude_keys=set())
    return max(int(claim.key.removeprefix(_PREFIX)) for claim in claims)


def _unknown(flow_run_id: UUID, error: HTTPError) -> Stopped:
    return Stopped(
        f"the Prefect API does not answer ({type(error).__name__}: {error}), so it cannot be known whether another "
        f"execution owns flow run {flow_run_id}. This one stops; the run is brought back from its last checkpoint"
    )
