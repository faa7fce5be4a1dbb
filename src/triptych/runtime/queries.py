"""What Triptych asks the Prefect API."""

from __future__ import annotations

from typing import Any, TypeVar

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from triptych.records import Record

RecordT = TypeVar("RecordT", bound=Record)

PAGE = 200
"""The most that the API returns at once."""


async def flow_runs_tagged(client: PrefectClient, tag: str, **more: Any) -> list[FlowRun]:
    """Return every flow run that carries a tag.

    Args:
        client: The API.
        tag: The tag.
        **more: Further conditions of a `FlowRunFilter`.
    """
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]), **more),
            sort=FlowRunSort.ID_DESC,
            limit=PAGE,
            offset=len(found),
        )
        found += page
        if len(page) < PAGE:
            return found


async def outcome_of(run: FlowRun, record: type[RecordT]) -> RecordT | None:
    """Return the record that a flow run of ours ended with, or None where it left none of that type.

    Raises:
        CheckpointStoreUnavailable: the store that holds it does not answer.
    """
    if run.state is None or run.state.data is None:
        return None
    try:
        return record.model_validate(await run.state.aresult(raise_on_failure=False))
    except ValueError:
        # A run of another flow under our tag, or a result that retention has removed.
        return None
