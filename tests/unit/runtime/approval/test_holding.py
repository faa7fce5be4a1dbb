"""A process that holds its run does so while the server is away, however long that takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tests.approvers import Approver
from tests.components.prefect_server import PrefectServer, start_prefect_server
from tests.unit.runtime.approval.other_servers import case_on


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
            answered = await client.resume_flow_run(flow_run_id, run_input={"approve": True, "name": "Mia"})
        self.said.append(answered.status.value)


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
