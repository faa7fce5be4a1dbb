"""What Triptych asks the Prefect API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from triptych.errors import ConfigurationError
from triptych.records import Record

RecordT = TypeVar("RecordT", bound=Record)

PAGE = 200
"""The most that the API returns at once."""
_SHOWN = 10
"""How many runs a message names when more than one is meant."""


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


async def find_run(client: PrefectClient, text: str) -> FlowRun:
    """Return the flow run that a person means: by its id, its exact name, or the beginning of its id.

    Args:
        client: The API.
        text: What they wrote.

    Raises:
        ConfigurationError: there is no such run, or more than one.
    """
    text = text.strip()
    if not text:
        raise ConfigurationError("which run? `triptych runs` lists them")
    whole = _as_id(text)
    if whole is not None:
        try:
            return await client.read_flow_run(whole)
        except ObjectNotFound:
            raise ConfigurationError(f"there is no run {whole}; `triptych runs` lists them") from None
    named = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[text])), sort=FlowRunSort.ID_DESC, limit=PAGE
    )
    found = named or await _runs_beginning(client, text.lower())
    if not found:
        raise ConfigurationError(f"no run has the name {text!r} or an id that begins so; `triptych runs` lists them")
    if len(found) > 1:
        how = "have the name" if named else "have an id that begins with"
        raise ConfigurationError(f"more than one run is meant: {len(found)} {how} {text!r}. Give an id: {_ids(found)}")
    return found[0]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _ids(runs: Iterable[FlowRun]) -> str:
    ids = [str(run.id) for run in runs]
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")


async def _runs_beginning(client: PrefectClient, start: str) -> list[FlowRun]:
    """Return the runs whose ids begin so, the newest first; the API has no such filter."""
    found: dict[UUID, FlowRun] = {}
    seen = 0
    while re.fullmatch(r"[0-9a-f-]+", start):
        page = await client.read_flow_runs(sort=FlowRunSort.ID_DESC, limit=PAGE, offset=seen)
        found |= {run.id: run for run in page if str(run.id).startswith(start)}
        seen += len(page)
        # In the order of ids, whatever comes after the first smaller one is smaller too.
        if len(page) < PAGE or str(page[-1].id) < start:
            break
    return list(found.values())


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
