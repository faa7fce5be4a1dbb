"""The runs of our deployments, a row each; what cannot be read leaves blanks."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.schedules import CronSchedule
from prefect.states import Cancelled, Paused, Scheduled

from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.unit.runtime.approval.requests import request
from triptych.loop.models import Plan
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.listing import RunRow, list_runs
from triptych.runtime.recovery import TAG
from triptych.runtime.telling import history_of


class Crash(Exception):
    """What ends an execution."""


@flow
def _never_run() -> None: ...


def look(order: str) -> str:
    return f"{order} is there"


async def test_a_row_has_the_figures_of_the_steps_that_count(runs: DurableRuns) -> None:
    dying = [True]

    async def body() -> None:
        plan = Plan(turns=(calls(("look", {"order": "#A"})),), final="done")
        await durable_agent(runs.model(plan), look).run("Look.")
        if dying:
            raise Crash
        await durable_agent(runs.model(Plan(final="bye"))).run("Bye.")

    first = await runs.execute(body)
    dying.clear()
    await runs.execute(body, first.flow_run_id)
    await _tag(first.flow_run_id)
    row = await _row(runs, first.flow_run_id)
    steps = (await history_of(runs.store, row.flow_run_id)).steps
    assert (row.state, row.executions, row.steps) == ("Completed", 2, 4)
    # Prefect does not count one that goes on after a suspension.
    third = await runs.store.read(f"executions/{row.flow_run_id}/000002.json") or b""
    await runs.store.write(f"executions/{row.flow_run_id}/000003.json", third)
    assert (await _row(runs, first.flow_run_id)).executions == 3
    assert row.input_tokens == sum(step.input_tokens or 0 for step in steps) > 0
    assert row.output_tokens == sum(step.output_tokens or 0 for step in steps) > 0
    assert row.cost_usd == sum(step.cost_usd or 0 for step in steps) > 0
    assert row.waits_for is None
    assert row.started_at is not None
    assert row.duration_seconds is not None
    assert row.duration_seconds > 0


async def test_what_is_not_there_or_cannot_be_read_is_blank(runs: DurableRuns) -> None:
    async def nothing() -> None: ...

    async def one() -> None:
        await durable_agent(runs.model(Plan(final="Hello."))).run("Hello.")

    empty, torn, strayed = [await runs.execute(each) for each in (nothing, one, one)]
    for each in (empty, torn, strayed):
        await _tag(each.flow_run_id)
    (place,) = await runs.checkpoints(torn.flow_run_id)
    await runs.store.write(place, b"torn")
    await runs.store.write(f"checkpoints/{strayed.flow_run_id}/notes.txt", b"what a person left there")
    for each, problem in ((empty, None), (torn, place), (strayed, "notes.txt")):
        row = await _row(runs, each.flow_run_id)
        assert row.state == "Completed"
        assert (row.steps, row.input_tokens, row.output_tokens, row.cost_usd) == (None, None, None, None)
        assert (row.problem is None) if problem is None else (problem in (row.problem or ""))


async def test_a_waiting_run_says_whom_it_waits_for(runs: DurableRuns) -> None:
    asked_of = {"9" * 16: "Mia", "8" * 16: "", "7" * 16: None, "6" * 16: "torn"}
    for request_id, name in asked_of.items():
        run = await _made()
        key = f"approval-{request_id}-1"
        await _set(run, Paused(pause_key=key, timeout_seconds=90_000))
        if name is not None:
            asked = request().model_copy(update={"id": request_id, "flow_run_id": str(run), "asked_of": name})
            await Ledger(runs.store).write_request(asked)
        if name == "torn":
            await runs.store.write(f"approvals/{run}/{request_id}/request.json", b"torn")
        row = await _row(runs, run)
        assert row.waits_for == (name if name == "Mia" else "a person")
        assert (row.state, row.executions) == ("Paused", 0)
    # A pause that is the flow's own.
    run = await _made()
    await _set(run, Paused(pause_key="own", timeout_seconds=90_000))
    assert (await _row(runs, run)).waits_for is None


async def test_the_newest_come_first_and_by_state(runs: DurableRuns) -> None:
    made = [await _made(), await _made()]
    await _set(made[1], Cancelled())
    made.append(await _made())
    ids = [str(each) for each in made]
    assert [row.flow_run_id for row in await list_runs(runs.store, limit=3)] == ids[::-1]
    assert [row.flow_run_id for row in await list_runs(runs.store, limit=2)] == [ids[2], ids[1]]
    for state in ("cancelled", "CANCELLED"):
        assert (await list_runs(runs.store, states=[state], limit=1))[0].flow_run_id == ids[1]
    late = await _made()
    await _set(late, Scheduled(name="Recovering"))
    for state in ("Recovering", "recovering"):
        rows = await list_runs(runs.store, states=[state], limit=100)
        assert str(late) in [row.flow_run_id for row in rows]
        assert {row.state for row in rows} == {"Recovering"}
    both = await list_runs(runs.store, states=["recovering", "cancelled"], limit=100)
    assert {row.state for row in both} == {"Recovering", "Cancelled"}
    assert await list_runs(runs.store, states=["nonsense"], limit=100) == []


async def test_other_runs_are_left_out(runs: DurableRuns) -> None:
    async with get_client() as client:
        other = await client.create_flow_run(_never_run, name=str(uuid.uuid4()))
    assert str(other.id) not in [row.flow_run_id for row in await list_runs(runs.store, limit=1000)]


async def test_what_a_schedule_holds_ready_is_left_out(runs: DurableRuns) -> None:
    async with get_client() as client:
        deployment = await client.create_deployment(
            flow_id=await client.create_flow(_never_run),
            name=f"daily-{uuid.uuid4()}",
            schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron="0 0 * * *"))],
            tags=[TAG],
        )
        of_it = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
        while not (ready := await client.read_flow_runs(flow_run_filter=of_it)):
            await asyncio.sleep(0.2)
        tomorrow = cast(Any, datetime.now(UTC) + timedelta(days=1))
        by_hand = await client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=tomorrow))
        rows = {row.flow_run_id for row in await list_runs(runs.store, limit=1000)}
        # It takes the runs away that were held ready.
        await client.update_deployment(deployment, DeploymentUpdate(paused=True))
    assert str(by_hand.id) in rows
    assert rows.isdisjoint(str(run.id) for run in ready)


async def _made() -> UUID:
    async with get_client() as client:
        return (await client.create_flow_run(_never_run, state=Scheduled(), tags=[TAG])).id


async def _set(run: UUID, state: Any) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(run, state, force=True)


async def _tag(run: UUID) -> None:
    async with get_client() as client:
        await client.update_flow_run(run, tags=[TAG])


async def _row(runs: DurableRuns, run: UUID) -> RunRow:
    (row,) = [row for row in await list_runs(runs.store, limit=1000) if row.flow_run_id == str(run)]
    return row
