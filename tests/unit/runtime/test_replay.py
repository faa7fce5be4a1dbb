"""A replay finds the blocks that the flow asks for, and is judged by what the run came to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun, State, StateType

from tests.durable_runs import DurableRuns, durable_agent
from triptych.loop.models import Plan
from triptych.runtime.budget import load_budget
from triptych.runtime.checkpoints import run_prefix
from triptych.runtime.play import prepare
from triptych.runtime.replay import Bundle, Played, judged
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings


@flow
def _never_run() -> None: ...


async def test_a_budget_of_another_name_is_there_to_be_loaded(
    runs: DurableRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        await durable_agent(runs.model(Plan(final="Hello."))).run("Hello.")

    run = await runs.execute(body)
    (tmp_path / "record").mkdir()
    record = CheckpointStore(location=str(tmp_path / "record"))
    for key in await runs.store.keys(run_prefix(str(run.flow_run_id))):
        await record.write(key, await runs.store.read(key) or b"")
    for block in ("STORE", "POLICY", "BUDGET"):
        monkeypatch.setenv(f"TRIPTYCH_{block}_BLOCK", f"replayed-{uuid4()}")
    bundle = Bundle(flow_run_id=str(run.flow_run_id), entrypoint="", parameters={}, policy={})
    await prepare(tmp_path, bundle, _never_run)
    assert (await load_budget(Settings())).concerns_others is False


@pytest.mark.parametrize(
    ("state", "message", "outcome"),
    [
        (StateType.FAILED, "BudgetExceeded: the budget of 2 model requests for a run is spent (2).", "same"),
        (StateType.FAILED, "Flow run encountered an exception: BudgetExceeded: the budget of 1 dollars", "same"),
        # An agent's own limits are in its code, and stop a play as well.
        (StateType.FAILED, "BudgetExceeded: the run stopped at its limit of 3 steps", "unfinished"),
        (StateType.CRASHED, None, "unfinished"),
        (StateType.COMPLETED, None, "diverges"),
    ],
)
def test_a_run_that_its_budget_ended_is_finished(state: StateType, message: str | None, outcome: str) -> None:
    ended = State[None](type=state, message=message, timestamp=datetime.now(UTC))
    run = FlowRun(flow_id=uuid4(), state=ended)
    assert judged(Played(outcome="unfinished", names=(), at="3. ask scripted"), run, []).outcome == outcome
