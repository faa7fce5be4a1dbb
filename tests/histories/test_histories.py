"""Every recorded history loads, and the code of today goes the same way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelMessagesTypeAdapter

from tests.components.locate import CHECKOUT
from tests.histories.record import HISTORIES
from triptych import __version__
from triptych.loop.desk import OrderDesk
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.history import read_history
from triptych.runtime.replay import Bundle, play
from triptych.runtime.store import CheckpointStore
from triptych.samples import SAMPLES
from triptych.settings import Settings

RECORDED = sorted(file.parent for file in HISTORIES.glob("*/*/bundle.json"))


def _name(folder: Path) -> str:
    return str(folder.relative_to(HISTORIES))


def test_this_version_has_its_history() -> None:
    assert __version__ in {folder.parent.name for folder in RECORDED}


@pytest.mark.parametrize("folder", RECORDED, ids=_name)
async def test_a_history_loads(folder: Path) -> None:
    bundle = Bundle.model_validate_json((folder / "bundle.json").read_text())
    store = CheckpointStore(location=str(folder / "record"))
    steps = await read_history(store, bundle.flow_run_id)
    responses = [step.value for step in steps if step.checkpoint.operation == "model-request"]
    assert ModelMessagesTypeAdapter.validate_python(responses)
    assert any(step.took_effect for step in steps)
    for ids in await Ledger(store).ids():
        assert await Ledger(store).request(*ids) is not None
        assert await Ledger(store).decision(*ids) is not None


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("folder", RECORDED, ids=_name)
async def test_the_code_of_today_goes_the_same_way(folder: Path, tmp_path: Path) -> None:
    """Where a prompt or a tool was changed on purpose, runs of the older version stop: say so in the changelog."""
    shutil.copytree(folder, tmp_path / "history")
    settings = Settings(home=tmp_path / "home", desk_url=f"sqlite:///{tmp_path / 'desk.sqlite'}")
    with OrderDesk(settings.resolved_desk_url) as desk:
        desk.load(SAMPLES)
    env = {**os.environ, "TRIPTYCH_DESK_URL": settings.resolved_desk_url}
    played = play(tmp_path / "history", CHECKOUT, settings, env)
    assert (played.outcome, played.why) == ("same", "")
    assert len(played.names) == len(list((folder / "record" / "checkpoints").rglob("*.json")))
