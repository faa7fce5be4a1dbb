"""The process that plays a recorded run: `python -m triptych.runtime.play FOLDER PROJECT`; see `replay`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow

from triptych.errors import CheckpointIncompatible
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget
from triptych.runtime.checkpoints import GIVEN
from triptych.runtime.copying import copy_steps
from triptych.runtime.history import read_history
from triptych.runtime.journal import REPLAY, Play, playing
from triptych.runtime.ownership import RecordEnds
from triptych.runtime.project import load_entrypoint
from triptych.runtime.replay import Bundle, Played
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings


async def prepare(folder: Path, bundle: Bundle, flow: Flow[Any, Any]) -> tuple[FlowRun, Play]:
    """Save what the flow looks for, and make a flow run that has the record's checkpoints."""
    settings = Settings()
    record = CheckpointStore(location=str(folder / "record"))
    (folder / "played").mkdir()
    played = CheckpointStore(location=str(folder / "played"))
    await cast(Any, played.save(settings.store_block))
    await cast(Any, ApprovalPolicy(**bundle.policy).save(settings.policy_block))
    # One by a name of its own must be there to be loaded; nothing is spent, whatever it says.
    await cast(Any, Budget().save(settings.budget_block))
    async with get_client() as client:
        run = await client.create_flow_run(flow, parameters=bundle.parameters, tags=[REPLAY])
    steps = await read_history(record, bundle.flow_run_id)
    await copy_steps(record, steps, played, str(run.id), before=None)
    return run, Play(given=frozenset(step.name for step in steps if step.checkpoint.execution == GIVEN))


def main(folder: Path, project: Path) -> None:
    """Play what a folder holds, and write down how it went."""
    bundle = Bundle.model_validate_json((folder / "bundle.json").read_text(encoding="utf-8"))
    # The first time counts: a retry would only wait, and go the same way.
    flow: Flow[Any, Any] = load_entrypoint(project, bundle.entrypoint).with_options(retries=0)
    run, play = asyncio.run(prepare(folder, bundle, flow))
    playing.set(play)
    try:
        done: Any = run_flow(flow, flow_run=run, parameters=bundle.parameters, return_type="state")
        state = asyncio.run(done) if asyncio.iscoroutine(done) else done
        error = None if state.is_completed() else asyncio.run(state.aresult(raise_on_failure=False))
        played = _ended(play, error)
    except RecordEnds as end:
        played = Played(outcome="unfinished", names=tuple(sorted(play.read)), at=end.at)
    (folder / "played.json").write_text(played.model_dump_json(), encoding="utf-8")


def _ended(play: Play, error: Any) -> Played:
    names = tuple(sorted(play.read))
    if isinstance(error, CheckpointIncompatible):
        return Played(outcome="diverges", names=names, at=error.step, why=error.change)
    if isinstance(error, BaseException):
        raise error
    return Played(outcome="same", names=names)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
