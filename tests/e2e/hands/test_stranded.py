"""A run that failed for want of the sandbox goes on when there is one again."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Failed

from tests.components.sandbox import Broker
from triptych.runtime.recovery import TAG, RecoveryPolicy, recover_once
from triptych.runtime.vitals import Vitals

pytestmark = pytest.mark.usefixtures("docker_alone", "prefect_server")

LOST = "Flow run encountered an exception: SandboxUnavailable: the sandbox's broker does not answer"


@flow
def nothing() -> None:
    """Never executed here."""


@pytest.mark.parametrize(
    ("message", "is_brought_back"),
    [(LOST, True), (f"Given up after 5 executions: {LOST}", False), (f"tests failed: it printed\n{LOST}", False)],
)
async def test_it_is_brought_back_when_the_broker_answers(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, is_brought_back: bool
) -> None:
    monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path))
    policy = RecoveryPolicy(backoff_seconds=0)
    async with get_client() as client:
        flow_id = await client.create_flow(nothing)
        deployment = await client.create_deployment(flow_id=flow_id, name=str(uuid.uuid4()), tags=[TAG])
        run = await client.create_flow_run_from_deployment(deployment)
        await client.set_flow_run_state(run.id, Failed(message=message), force=True)

        async def looked() -> str:
            await recover_once(client, policy, Vitals(policy.silent_seconds))
            state = (await client.read_flow_run(run.id)).state
            assert state is not None
            return state.name or ""

        assert await looked() == "Failed"
        (tmp_path / "sandbox").symlink_to(broker.folder)
        assert await looked() == ("Recovering" if is_brought_back else "Failed")
