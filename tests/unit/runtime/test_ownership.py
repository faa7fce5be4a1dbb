"""Of two executions of a run one owns it, and whoever cannot know stops."""

from __future__ import annotations

import asyncio
import uuid
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from pydantic_ai import ToolOutput

from tests.components.prefect_server import PrefectServer
from tests.durable_runs import DurableRuns, calls, durable_agent
from triptych.errors import CheckpointTorn, ExecutionSuperseded
from triptych.loop.limits import Limits
from triptych.loop.models import Plan
from triptych.records import ExecutionRecord
from triptych.runtime.agents import run_durable
from triptych.runtime.earlier import found_by
from triptych.runtime.ownership import Stopped, claim, require


@flow
def nothing() -> None:
    """Never executed here."""


async def _new_run() -> UUID:
    async with get_client() as client:
        return (await client.create_flow_run(nothing)).id


async def test_the_last_to_claim_a_run_owns_it(prefect_server: PrefectServer) -> None:
    run = await _new_run()
    assert claim(run) == 1
    await require(run, 1)
    assert claim(run) == 2
    await require(run, 2)
    with pytest.raises(Stopped, match="superseded") as stopped:
        await require(run, 1)
    assert isinstance(stopped.value.__cause__, ExecutionSuperseded)


async def test_many_who_claim_at_once_have_different_numbers(prefect_server: PrefectServer) -> None:
    run = await _new_run()
    numbers = await asyncio.gather(*(asyncio.to_thread(claim, run) for _ in range(6)))
    assert len(set(numbers)) == 6
    owners = await asyncio.gather(*(require(run, number) for number in numbers), return_exceptions=True)
    assert [number for number, fault in zip(numbers, owners, strict=True) if fault is None] == [max(numbers)]


async def test_where_it_cannot_be_known_an_execution_stops(prefect_server: PrefectServer) -> None:
    run = await _new_run()
    number = claim(run)
    nobody = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: nobody, PREFECT_CLIENT_MAX_RETRIES: 0}):
        with pytest.raises(Stopped, match="cannot be known"):
            await require(run, number)
        with pytest.raises(Stopped, match="cannot be known"):
            claim(run)


async def test_a_superseded_execution_stops_and_leaves_the_state_to_its_owner(runs: DurableRuns) -> None:
    looked: list[UUID] = []

    async def look() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        looked.append(context.flow_run.id)
        await asyncio.to_thread(claim, context.flow_run.id)
        return "found"

    async def body() -> str:
        plan = Plan(turns=(calls(("look", {})), calls(("look", {}))), final="Done.")
        return (await durable_agent(runs.model(plan), look).run("Look.")).output

    with pytest.raises(Stopped, match="superseded"):
        await runs.execute(body)
    # The call under way was its last, and the model was not asked again.
    assert len(looked) == 1
    assert runs.asked == ["request:1"]
    async with get_client() as client:
        run = await client.read_flow_run(looked[0])
    assert run.state is not None
    assert run.state.is_running()


@pytest.mark.parametrize("ends", ["returns", "raises"])
async def test_a_superseded_execution_does_not_end_the_run_of_its_owner(runs: DurableRuns, ends: str) -> None:
    claimed: list[UUID] = []

    async def claimed_by_another() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        claimed.append(context.flow_run.id)
        await asyncio.to_thread(claim, context.flow_run.id)
        if ends == "raises":
            raise RuntimeError("it went wrong")
        return "found"

    async def body() -> str:
        # The agent's last step: it ends with what the function returns.
        agent = durable_agent(runs.model(Plan(final={})), output_type=ToolOutput(claimed_by_another))
        return (await run_durable(agent, "Look.", deps=None, limits=Limits(steps=3))).output

    with pytest.raises(Stopped, match="superseded"):
        await runs.execute(body)
    async with get_client() as client:
        run = await client.read_flow_run(claimed[0])
    assert run.state is not None
    assert run.state.is_running()


async def test_what_a_superseded_execution_still_writes_counts_for_nothing(runs: DurableRuns) -> None:
    store, run = runs.store, str(uuid.uuid4())
    first, late, own = (
        f"checkpoints/{run}/a-0/0001-model-request.1.json",
        "0002-model-request.1.json",
        "0002-model-request.2.json",
    )
    await store.write(first, b"")
    record = {"flow_run_id": run, "began_at": "2026-11-23T12:00:00Z"}
    await _record(runs, {**record, "number": 1, "goes_on_from": []})
    await _record(runs, {**record, "number": 2, "goes_on_from": [first]})
    for name in (late, own):
        await store.write(f"checkpoints/{run}/a-0/{name}", b"")
    assert await found_by(store, run, 3) == [first, f"checkpoints/{run}/a-0/{own}"]
    # As the second one saw it.
    assert await found_by(store, run, 2) == [first, f"checkpoints/{run}/a-0/{late}"]
    await store.write(f"executions/{run}/000002.json", b"{")
    with pytest.raises(CheckpointTorn, match="which checkpoints count"):
        await found_by(store, run, 3)


async def _record(runs: DurableRuns, record: dict[str, object]) -> None:
    content = ExecutionRecord.model_validate(record)
    await runs.store.write(
        f"executions/{content.flow_run_id}/{content.number:06d}.json", content.model_dump_json().encode()
    )
