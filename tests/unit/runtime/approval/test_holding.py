"""A process that holds its run does so while the server is away, however long that takes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.input import keyset_from_paused_state
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Paused

from tests.approvers import Approver, resumed
from tests.components.prefect_server import PrefectServer, start_prefect_server
from tests.durable_runs import DurableRuns
from tests.unit.runtime.approval.other_servers import case_on
from tests.unit.runtime.approval.requests import request
from triptych.runtime.approval.waiting import wait


class Away(Approver):
    """Takes the server away while it asks, and answers when it is back."""

    def __init__(self, server: PrefectServer) -> None:
        super().__init__([])
        self._server = server

    async def _answer(self, flow_run_id: UUID) -> None:
        async with get_client() as client:
            while (state := (await client.read_flow_run(flow_run_id)).state) is None or state.type != StateType.PAUSED:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(self._server.kill)
        # It takes seconds to start: the process has looked meanwhile.
        await asyncio.to_thread(self._server.start)
        async with get_client() as client:
            self.said.append(await resumed(client, flow_run_id, {"approve": True, "name": "Mia"}))


@pytest.mark.timeout(300)
async def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with (
        start_prefect_server(tmp_path / "server") as server,
        # Prefect's own client gives up after a minute; here at once.
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
    ):
        async with case_on(server, tmp_path / "case") as case:
            away = Away(server)
            run = await case.runs.execute(lambda: case.body(away))
            assert run.result == "Done."
            assert away.said == ["ACCEPT"]
            assert case.paid == [20.0]
            ((_, decision),) = await case.ledger(run)
            assert decision is not None
            assert (decision.outcome, decision.attempts) == ("approved", 1)


async def test_a_pause_that_the_server_took_without_saying_so(runs: DurableRuns) -> None:
    """Its answer was lost on the way, and Prefect's client proposes the pause once more, which is refused."""
    now = datetime.now(UTC)

    async def body() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        flow_run_id = context.flow_run.id
        until = now + timedelta(hours=1)
        asked = request(flow_run_id=str(flow_run_id), asked_at=now, hold_until=until, deadline=until)
        taken: Any = Paused(timeout_seconds=3600, pause_key=f"approval-{asked.id}-1-held")
        taken.state_details.run_input_keyset = keyset_from_paused_state(taken)
        async with get_client() as client:
            await client.set_flow_run_state(flow_run_id, taken)
        await person.beside(wait(asked, 1, refused="", can_suspend=False))
        return "went on"

    person = Approver([{"approve": True, "name": "Mia"}])
    run = await runs.execute(body)
    assert run.result == "went on"
    assert person.said == ["ACCEPT"]
