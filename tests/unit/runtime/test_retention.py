"""Prune removes what ended long ago, all of it, and nothing else."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.states import (
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    Suspended,
)
from pydantic_ai import Tool

from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.unit.runtime.approval.requests import request
from triptych.errors import CheckpointMissing, CheckpointStoreUnavailable
from triptych.loop.models import Plan
from triptych.loop.tools.execution import HONOURS_KEY
from triptych.records import PrunedRun
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.history import pruned_key
from triptych.runtime.recovery import TAG
from triptych.runtime.retention import Ended, PruneReport, Retention, prune
from triptych.runtime.store import CheckpointStore
from triptych.runtime.telling import history_of

LOST = "Flow run encountered an exception: CheckpointStoreUnavailable: checkpoint store /nowhere: it is gone"
ALL: tuple[Ended, ...] = ("completed", "failed", "cancelled", "crashed")


class Crash(Exception):
    """What ends an execution."""


class Interrupted(Exception):
    """What ends a prune half way."""


@flow
def _never_run() -> None: ...


async def pruned(store: CheckpointStore, *, days: float = 0, states: tuple[Ended, ...] = ()) -> PruneReport:
    retention = Retention(datetime.now(UTC) - timedelta(days=days))
    if states:
        retention = Retention(retention.ended_before, states)
    return await prune(store, retention, is_dry_run=False)


async def _objects(store: CheckpointStore) -> list[str]:
    roots = ("checkpoints", "files", "executions", "begun", "results", "approvals", "pruned")
    return [key for root in roots for key in await store.keys(root)]


async def _set(run: UUID, state: State[Any], **changes: Any) -> None:
    async with get_client() as client:
        if changes:
            await client.update_flow_run(run, **changes)
        await client.set_flow_run_state(run, state, force=True)


async def two_executions(runs: DurableRuns) -> UUID:
    """A run with checkpoints of two executions, a begun call, a snapshot, a result, and an entry in the ledger."""
    dying = [True]

    def send(to: str) -> str:
        return f"sent to {to}"

    async def body() -> None:
        plan = Plan(turns=(calls(("send", {"to": "Ada"})),), final="done")
        await durable_agent(runs.model(plan), Tool(send, metadata={HONOURS_KEY: False})).run("Write.")
        if dying:
            raise Crash
        await durable_agent(runs.model(Plan(final="bye")), name="second").run("Bye.")

    first = await runs.execute(body)
    dying.clear()
    await runs.execute(body, first.flow_run_id)
    await runs.store.write(f"files/{first.flow_run_id}/small-0/0001-tool-send.1", b"{}")
    asked = request(flow_run_id=str(first.flow_run_id))
    await Ledger(runs.store).write_request(asked)
    return first.flow_run_id


async def one_step(runs: DurableRuns) -> UUID:
    async def body() -> None:
        await durable_agent(runs.model(Plan(final="Hello."))).run("Hello.")

    return (await runs.execute(body)).flow_run_id


async def test_all_that_a_run_left_is_removed_but_for_the_ledger(runs: DurableRuns) -> None:
    run = await two_executions(runs)
    before = await _objects(runs.store)
    roots = {"checkpoints", "files", "executions", "begun", "results", "approvals"}
    assert {key.split("/")[0] for key in before} == roots
    executions = {key.rsplit(".", 2)[1] for key in before if key.startswith("checkpoints/")}
    assert executions == {"1", "2"}
    kept = [key for key in before if key.startswith("approvals/")]
    gone = [key for key in before if key not in kept]
    size = sum([len(await runs.store.read(key) or b"") for key in gone])

    report = await pruned(runs.store)
    (row,) = report.runs
    assert (row.flow_run_id, row.state) == (str(run), "Completed")
    assert (row.checkpoints, row.objects, row.bytes) == (4, len(gone), size)
    assert (report.objects, report.bytes, report.is_dry_run) == (len(gone), size, False)
    assert await _objects(runs.store) == [*kept, pruned_key(str(run))]
    record = await _record(runs.store, run)
    assert (record.checkpoints, record.bytes) == (4, size)
    assert abs(datetime.now(UTC) - record.pruned_at) < timedelta(minutes=1)
    with pytest.raises(CheckpointMissing, match="was pruned at"):
        await history_of(runs.store, str(run))
    # There is nothing left to do.
    assert (await pruned(runs.store)).runs == ()
    assert await _record(runs.store, run) == record


async def test_what_was_spent_goes_by_its_day_and_never_todays(runs: DurableRuns) -> None:
    await one_step(runs)
    (todays,) = await runs.store.keys("spending")
    today = datetime.now(UTC).date()
    yesterdays, older = (f"spending/{today - timedelta(days=days)}/a/flow/1-2-3-4" for days in (1, 3))
    for key in (yesterdays, older, "spending/README.txt"):
        await runs.store.write(key, b"{}")
    assert (await pruned(runs.store, days=2)).spending == 1
    assert await runs.store.keys("spending") == sorted(["spending/README.txt", yesterdays, todays])
    looked = await prune(runs.store, Retention(datetime.now(UTC) + timedelta(days=9)), is_dry_run=True)
    assert looked.spending == 1
    assert len((await pruned(runs.store)).runs) == 1
    assert await runs.store.keys("spending") == sorted(["spending/README.txt", todays])


async def test_a_dry_run_removes_nothing(runs: DurableRuns) -> None:
    run = await two_executions(runs)
    before = await _objects(runs.store)
    looked = await prune(runs.store, Retention(datetime.now(UTC)), is_dry_run=True)
    assert looked.is_dry_run
    assert [row.flow_run_id for row in looked.runs] == [str(run)]
    assert await _objects(runs.store) == before
    done = await pruned(runs.store)
    assert (done.runs, done.objects, done.bytes) == (looked.runs, looked.objects, looked.bytes)


NOT_AT_ITS_END: list[Callable[[], State[Any]]] = [
    Running,
    Pending,
    Scheduled,
    Cancelling,
    lambda: Paused(timeout_seconds=1000),
    lambda: Suspended(timeout_seconds=1000),
    lambda: Scheduled(name="Recovering"),
]


async def test_a_run_that_is_not_at_its_end_keeps_everything(runs: DurableRuns) -> None:
    for state in NOT_AT_ITS_END:
        run = await one_step(runs)
        await _set(run, state())
    before = await _objects(runs.store)
    assert (await pruned(runs.store, states=ALL)).runs == ()
    assert await _objects(runs.store) == before


@pytest.mark.parametrize("message", ["crashed", LOST])
async def test_a_run_that_recovery_brings_back_keeps_everything(runs: DurableRuns, message: str) -> None:
    """And one that nobody brings back, in the same state, does not."""
    state = Crashed if message == "crashed" else Failed
    async with get_client() as client:
        deployed = await _deployed(client)
        await client.set_flow_run_state(deployed.id, state(message=message), force=True)
    mine = await one_step(runs)
    await _give_checkpoints_of(runs.store, mine, deployed.id)
    for tags in ([], [TAG]):  # a deployment makes the difference, with the tag
        await _set(mine, state(message=message), tags=tags)
        (row,) = (await prune(runs.store, Retention(datetime.now(UTC), ALL), is_dry_run=True)).runs
        assert row.flow_run_id == str(mine)
    (row,) = (await pruned(runs.store, states=ALL)).runs
    assert row.flow_run_id == str(mine)
    assert await runs.checkpoints(deployed.id)
    # Given up, it is at its end.
    await _set(deployed.id, Failed(message=f"Given up after 5 executions: {LOST}"))
    assert [each.flow_run_id for each in (await pruned(runs.store)).runs] == [str(deployed.id)]
    assert not await runs.checkpoints(deployed.id)


async def test_by_how_and_when_it_ended(runs: DurableRuns) -> None:
    ended = {state: await one_step(runs) for state in ALL}
    for state, run in zip((Completed, Failed, Cancelled, Crashed), ended.values(), strict=True):
        await _set(run, state())
    assert (await pruned(runs.store, days=1, states=ALL)).runs == ()
    only = await pruned(runs.store, states=("failed",))
    assert [row.flow_run_id for row in only.runs] == [str(ended["failed"])]
    by_default = await pruned(runs.store)
    assert {row.flow_run_id for row in by_default.runs} == {str(ended["completed"]), str(ended["cancelled"])}
    assert await runs.checkpoints(ended["crashed"])


async def test_runs_that_the_api_does_not_know_are_counted(runs: DurableRuns) -> None:
    run = await two_executions(runs)
    await runs.store.write("checkpoints/not-an-id/a-0/0001-model-request.1.json", b"whose?")
    async with get_client() as client:
        await client.delete_flow_run(run)
    before = await _objects(runs.store)
    report = await pruned(runs.store, states=ALL)
    assert (report.runs, report.unknown_runs, report.unknown_checkpoints) == ((), 2, 5)
    assert await _objects(runs.store) == before


async def test_a_run_with_nothing_but_a_result(runs: DurableRuns) -> None:
    async def body() -> None: ...

    run = (await runs.execute(body)).flow_run_id
    (result,) = await _objects(runs.store)
    assert result.startswith("results/")
    # Without the tag it is none of ours: nothing else in the store says that it is.
    assert (await pruned(runs.store)).runs == ()
    async with get_client() as client:
        await client.update_flow_run(run, tags=[TAG])
    (row,) = (await pruned(runs.store)).runs
    assert (row.flow_run_id, row.checkpoints, row.objects) == (str(run), 0, 1)
    assert await _objects(runs.store) == [pruned_key(str(run))]


async def test_a_result_is_taken_by_its_name_alone(runs: DurableRuns) -> None:
    """Whoever can reach the API writes a run's state; it must not name what is another's."""
    run, other = await one_step(runs), await one_step(runs)
    await _set(other, Running())
    (place,) = await runs.checkpoints(other)
    async with get_client() as client:
        before = (await client.read_flow_run(run)).state
        assert before is not None
        data = before.data.model_dump(mode="json") | {"storage_key": f"../{place}"}
        state = {"type": "COMPLETED", "name": "Completed", "data": data}
        await cast(Any, client).request("POST", f"/flow_runs/{run}/set_state", json={"state": state, "force": True})
        after = (await client.read_flow_run(run)).state
        assert after is not None
        assert after.data.storage_key == f"../{place}"
    (row,) = (await pruned(runs.store)).runs
    assert row.flow_run_id == str(run)
    assert await runs.checkpoints(other)


async def test_torn_objects_are_removed_as_well(runs: DurableRuns) -> None:
    run = await two_executions(runs)
    for key in await runs.checkpoints(run):
        await runs.store.write(key, b"torn")
    await runs.store.write(pruned_key(str(run)), b"torn")
    assert [row.checkpoints for row in (await pruned(runs.store)).runs] == [4]
    assert not await runs.checkpoints(run)
    assert (await _record(runs.store, run)).checkpoints == 4


async def test_interrupted_after_any_of_its_writes_it_finishes(
    runs: DurableRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await two_executions(runs)
    whole = {key: await runs.store.read(key) or b"" for key in await _objects(runs.store)}
    lasting = [key for key in whole if key.startswith("approvals/")]
    changes = len(whole) - len(lasting) + 1
    for limit in range(changes):
        for key, content in whole.items():
            await runs.store.write(key, content)
        await runs.store.remove(pruned_key(str(run)))
        with monkeypatch.context() as patched:
            _interrupt_after(limit, runs.store, patched)
            with pytest.raises(Interrupted):
                await pruned(runs.store)
        # The record is the last thing but one: then nothing of the run can be lost sight of.
        assert (await runs.store.read(pruned_key(str(run))) is not None) == (limit == changes - 1)
        left = await runs.checkpoints(run)
        (row,) = (await pruned(runs.store)).runs
        assert row.checkpoints == len(left)
        assert await _objects(runs.store) == [*lasting, pruned_key(str(run))]
        assert (await _record(runs.store, run)).checkpoints <= 4
        assert (await pruned(runs.store)).runs == ()


async def test_a_run_that_is_executed_again_meanwhile_is_let_go(
    runs: DurableRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, gone = await one_step(runs), await one_step(runs)
    before = await runs.checkpoints(run)
    read = CheckpointStore.read

    async def read_slowly(self: CheckpointStore, key: str) -> bytes | None:
        if f"/{run}/" in key:
            await _set(run, Scheduled())
        if f"/{gone}/" in key:
            async with get_client() as client:
                with contextlib.suppress(ObjectNotFound):
                    await client.delete_flow_run(gone)
        return await read(self, key)

    monkeypatch.setattr(CheckpointStore, "read", read_slowly)
    assert (await pruned(runs.store)).runs == ()
    assert await runs.checkpoints(run) == before
    assert await runs.checkpoints(gone)


async def test_a_store_that_is_gone_is_said_so(runs: DurableRuns) -> None:
    gone = CheckpointStore(location=str(runs.folder / "nowhere"))
    with pytest.raises(CheckpointStoreUnavailable):
        await pruned(gone)


def _interrupt_after(limit: int, store: CheckpointStore, patched: pytest.MonkeyPatch) -> None:
    done = 0

    def counted(change: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def counting(*args: Any) -> None:
            nonlocal done
            if done == limit:
                raise Interrupted
            done += 1
            await change(*args)

        return counting

    patched.setattr(store.backend, "remove", counted(store.backend.remove))
    patched.setattr(store.backend, "write", counted(store.backend.write))


async def _record(store: CheckpointStore, run: UUID) -> PrunedRun:
    return PrunedRun.model_validate_json(await store.read(pruned_key(str(run))) or b"")


async def _deployed(client: PrefectClient) -> FlowRun:
    deployment = await client.create_deployment(
        flow_id=await client.create_flow(_never_run), name=f"deployed-{uuid.uuid4()}", tags=[TAG]
    )
    return await client.create_flow_run_from_deployment(deployment)


async def _give_checkpoints_of(store: CheckpointStore, one: UUID, other: UUID) -> None:
    for key in await store.keys(f"checkpoints/{one}"):
        await store.write(key.replace(str(one), str(other)), await store.read(key) or b"")
