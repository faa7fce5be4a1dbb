"""Retention: remove the checkpoints and results of runs that ended long ago.

A run that is not at its end keeps everything, and so does one that the recovery loop would bring back. The ledger of
approvals stays: it is the record of who decided what. What was spent goes by its day, whatever became of the runs: a
day's limit counts all that was spent on it.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, ConfigDict

from triptych.errors import CheckpointTorn
from triptych.records import PrunedRun
from triptych.runtime.bounded import for_each
from triptych.runtime.checkpoints import ROOT, STEPS
from triptych.runtime.history import pruned_key
from triptych.runtime.queries import PAGE, flow_runs_tagged
from triptych.runtime.recovery import TAG, is_brought_back
from triptych.runtime.spending import days_before
from triptych.runtime.store import CheckpointStore, result_key
from triptych.runtime.telling import EXECUTIONS, read_pruned
from triptych.runtime.workspace_files import SNAPSHOTS

Ended = Literal["completed", "failed", "cancelled", "crashed"]

_BEGUN = "begun"
"""Where it stands that a call was begun whose backend honours no idempotency key."""


@dataclass(frozen=True)
class Retention:
    """What may be removed.

    Attributes:
        ended_before: Runs that ended later keep everything.
        states: How they ended.
    """

    ended_before: datetime
    states: Sequence[Ended] = ("completed", "failed", "cancelled")

    def allows(self, run: FlowRun) -> bool:
        """Whether a run's objects may be removed, by what is known of it now."""
        if run.state is None or not run.state.is_final() or is_brought_back(run):
            return False
        ended_at = run.end_time or run.state.timestamp
        return run.state.type.value.lower() in self.states and ended_at < self.ended_before


class PrunedRow(BaseModel):
    """One run, and what was removed of it, or would be."""

    model_config = ConfigDict(frozen=True)

    flow_run_id: str
    name: str
    state: str
    ended_at: datetime | None
    checkpoints: int
    objects: int
    """Checkpoints, and what lies beside them: workspace snapshots, records of executions, begun calls, the result."""
    bytes: int


class PruneReport(BaseModel):
    """What was removed, or would be."""

    model_config = ConfigDict(frozen=True)

    is_dry_run: bool
    runs: tuple[PrunedRow, ...]
    objects: int
    bytes: int
    spending: int
    """Records of what was spent on a day that is over."""
    unknown_runs: int
    """Runs with checkpoints in the store that the Prefect API does not know. They are left alone."""
    unknown_checkpoints: int


async def prune(
    store: CheckpointStore,
    retention: Retention,
    *,
    is_dry_run: bool,
    say: Callable[[str], None] | None = None,
) -> PruneReport:
    """Remove the checkpoints, and what lies beside them, of runs that ended long ago; and what was spent long ago.

    Interrupted and called again, it goes on where it was.

    Args:
        store: Where the runs keep their checkpoints.
        retention: What may be removed.
        is_dry_run: Only look.
        say: Called with a line for each run whose objects were removed.

    Raises:
        CheckpointStoreUnavailable: the store cannot be read or written; what was removed until then is.
    """
    objects = await _objects(store)
    results = set(await store.keys(result_key("").rstrip("/")))
    rows: list[PrunedRow] = []
    async with get_client() as client:
        known = await _known(client, objects, retention)
        for run in known.values():
            keys = [*_result_of(run, results), *objects.get(str(run.id), [])]
            if not keys or not retention.allows(run):
                continue
            row = await _row(store, run, keys)
            if not is_dry_run:
                if not await _is_still_allowed(client, run, retention):
                    continue
                await _remove(store, row, keys)
                if say is not None:
                    say(f"{run.name}: {row.objects} objects removed")
            rows.append(row)
    spending = await _spending(store, retention)
    if not is_dry_run:
        await for_each(spending, store.remove)
    unknown = [keys for flow_run_id, keys in objects.items() if flow_run_id not in known and _checkpoints(keys)]
    return PruneReport(
        is_dry_run=is_dry_run,
        runs=tuple(rows),
        objects=sum(row.objects for row in rows),
        bytes=sum(row.bytes for row in rows),
        spending=len(spending),
        unknown_runs=len(unknown),
        unknown_checkpoints=sum(map(_checkpoints, unknown)),
    )


async def _row(store: CheckpointStore, run: FlowRun, keys: Sequence[str]) -> PrunedRow:
    return PrunedRow(
        flow_run_id=str(run.id),
        name=run.name,
        state=(run.state.name or "") if run.state is not None else "",
        ended_at=run.end_time,
        checkpoints=_checkpoints(keys),
        objects=len(keys),
        bytes=sum(await for_each(keys, lambda key: _size(store, key))),
    )


async def _objects(store: CheckpointStore) -> dict[str, list[str]]:
    """Return the objects of each run, in the order in which they are removed.

    A run's checkpoints go from its last to its first, so that what is left meanwhile is a history's beginning; the
    records of executions say which of them count, and go after them.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for root in (ROOT, STEPS, SNAPSHOTS, _BEGUN, EXECUTIONS):
        for key in reversed(await store.keys(root)):
            found[key.split("/")[1]].append(key)
    return found


async def _spending(store: CheckpointStore, retention: Retention) -> list[str]:
    # This day's is still held against its limits.
    until = min(retention.ended_before, datetime.now(UTC)).astimezone(UTC)
    return await days_before(store, until.date().isoformat())


def _checkpoints(keys: Iterable[str]) -> int:
    return sum(key.startswith(f"{ROOT}/") for key in keys)


async def _known(client: PrefectClient, objects: Iterable[str], retention: Retention) -> dict[str, FlowRun]:
    """Return the runs that have objects in the store, and those of our deployments that may have a result alone."""
    ids = [each for each in objects if _is_id(each)]
    found: list[FlowRun] = []
    for start in range(0, len(ids), PAGE):
        some = FlowRunFilterId(any_=[UUID(each) for each in ids[start : start + PAGE]])
        found += await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=some), limit=PAGE)
    found += await flow_runs_tagged(
        client,
        TAG,
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType(state.upper()) for state in retention.states])
        ),
        end_time=FlowRunFilterEndTime(before_=cast(Any, retention.ended_before)),
    )
    return {str(run.id): run for run in found}


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _result_of(run: FlowRun, results: set[str]) -> list[str]:
    """Return the name of the run's result, if it lies in this store: whoever can reach the API writes a run's state."""
    named = getattr(run.state.data, "storage_key", None) if run.state is not None else None
    return [key for key in (result_key(str(named)),) if named and key in results]


async def _size(store: CheckpointStore, key: str) -> int:
    return len(await store.read(key) or b"")


async def _is_still_allowed(client: PrefectClient, run: FlowRun, retention: Retention) -> bool:
    """Look again, now: somebody may have let the run be executed once more."""
    try:
        return retention.allows(await client.read_flow_run(run.id))
    except ObjectNotFound:
        return False


async def _remove(store: CheckpointStore, row: PrunedRow, keys: Sequence[str]) -> None:
    # While one object is left, the run is found again; so the record of its removal is written before that one goes.
    *all_but_last, last = keys
    for key in all_but_last:
        await store.remove(key)
    earlier = None
    with contextlib.suppress(CheckpointTorn):  # what cannot be read is written anew
        earlier = await read_pruned(store, row.flow_run_id)
    record = PrunedRun(
        flow_run_id=row.flow_run_id,
        pruned_at=datetime.now(UTC),
        checkpoints=row.checkpoints + (earlier.checkpoints if earlier is not None else 0),
        bytes=row.bytes + (earlier.bytes if earlier is not None else 0),
    )
    await store.write(pruned_key(row.flow_run_id), record.model_dump_json().encode())
    await store.remove(last)
