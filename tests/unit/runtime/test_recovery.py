"""A crashed run is brought back when its worker has said its last word, or will not say it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Crashed, Pending, Running

from tests.components.prefect_server import PrefectServer
from triptych.runtime.recovery import TAG, RecoveryPolicy, recover_once
from triptych.runtime.vitals import Vitals

POLICY = RecoveryPolicy(settle_seconds=1.5, backoff_seconds=0)


@flow
def nothing() -> None:
    """Never executed here."""


async def _crashed(client: PrefectClient) -> FlowRun:
    pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid.uuid4()}", type="process"))
    deployment = await client.create_deployment(
        flow_id=await client.create_flow(nothing), name=pool.name, work_pool_name=pool.name, tags=[TAG]
    )
    run = await client.create_flow_run_from_deployment(deployment)
    await client.set_flow_run_state(run.id, Crashed(), force=True)
    return await client.read_flow_run(run.id)


@pytest.mark.parametrize(("is_heard", "patience"), [(False, 1), (True, 3)])
async def test_a_worker_that_is_heard_of_is_waited_for_longer(
    prefect_server: PrefectServer, is_heard: bool, patience: int
) -> None:
    async with get_client() as client:
        run = await _crashed(client)
        assert run.state is not None
        assert run.work_pool_name is not None
        while True:
            if is_heard:
                await client.send_worker_heartbeat(run.work_pool_name, "busy", heartbeat_interval_seconds=30)
            done = [
                line
                for line in await recover_once(client, POLICY, Vitals(POLICY.silent_seconds))
                if line.startswith(f"{run.name}:")
            ]
            waited = datetime.now(UTC) - run.state.timestamp
            if done:
                break
            await asyncio.sleep(0.1)
        assert waited >= timedelta(seconds=patience * POLICY.settle_seconds)
        now = (await client.read_flow_run(run.id)).state
        assert now is not None
        assert now.name == "Recovering"


async def test_a_run_that_dies_each_time_is_given_up_and_says_how_often_and_why(prefect_server: PrefectServer) -> None:
    policy = RecoveryPolicy(settle_seconds=0, backoff_seconds=0, max_attempts=2)
    async with get_client() as client:
        run = await _crashed(client)
        for execution in (1, 2):
            await client.set_flow_run_state(run.id, Running(), force=True)
            await client.set_flow_run_state(run.id, Crashed(message="out of memory"), force=True)
            done = [line for line in await recover_once(client, policy, Vitals(60)) if line.startswith(f"{run.name}:")]
            assert done, execution
        now = (await client.read_flow_run(run.id)).state
        assert now is not None
        assert now.is_failed()
        assert now.message == "Given up after 2 executions, the last of which crashed: out of memory"
        # And stays so.
        assert not [line for line in await recover_once(client, policy, Vitals(60)) if line.startswith(f"{run.name}:")]


@pytest.mark.parametrize(
    ("message", "is_brought_back"),
    [("Deployment concurrency slot lost during provisioning - no slots", True), ("Cancelled by Mia", False)],
)
async def test_what_prefect_cancelled_for_its_lost_place_is_brought_back(
    prefect_server: PrefectServer, message: str, is_brought_back: bool
) -> None:
    async with get_client() as client:
        run = await _crashed(client)
        await client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
        await recover_once(client, POLICY, Vitals(60))
        now = (await client.read_flow_run(run.id)).state
        assert now is not None
        assert now.name == ("Recovering" if is_brought_back else "Cancelled")


async def test_a_run_that_cannot_even_be_started_is_given_up_as_well(prefect_server: PrefectServer) -> None:
    policy = RecoveryPolicy(settle_seconds=0, backoff_seconds=0, pending_seconds=0.01, max_attempts=3)
    async with get_client() as client:
        run = await _crashed(client)
        rounds = 0
        while (now := (await client.read_flow_run(run.id)).state) is None or not now.is_failed():
            # A worker takes it, and its process ends before it begins.
            await client.set_flow_run_state(run.id, Pending(), force=True)
            await client.set_flow_run_state(run.id, Crashed(message="no such file"), force=True)
            await recover_once(client, policy, Vitals(60))
            rounds += 1
            assert rounds < 10
        assert now.message == "Given up after 3 executions, the last of which crashed: no such file"


@pytest.mark.parametrize("all_send", [True, False])
async def test_who_never_sent_a_sign_of_life_is_left_to_its_worker_unless_all_send_them(
    prefect_server: PrefectServer, all_send: bool
) -> None:
    policy = RecoveryPolicy(silent_seconds=31)
    async with get_client() as client:
        run = await _crashed(client)
        await client.set_flow_run_state(run.id, Running(), force=True)
        vitals = Vitals(0.5, all_send)
        await asyncio.sleep(0.6)
        done = [line for line in await recover_once(client, policy, vitals) if line.startswith(f"{run.name}:")]
        assert bool(done) == all_send
        now = (await client.read_flow_run(run.id)).state
        assert now is not None
        assert now.name == ("Recovering" if all_send else "Running")
