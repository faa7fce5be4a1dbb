"""What befalls a stack amid runs: its store goes, a part of it dies, it is taken down. The runs go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.disturbed_runs import flow_processes
from tests.e2e.stack import Home, Up, poll
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.runtime.witnessed import executed_again
from triptych.samples import TICKETS


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack of this module's own, whose model takes its time."""
    home = Home(tmp_path_factory.mktemp("own-home"))
    try:
        yield Up(folder=home.folder, api_url=home.json("up", TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS="1.5")["api_url"])
    finally:
        home.json("down")


def _start(up: Up, line: int) -> str:
    """Start the run of one of the sample tickets, and return its id once it has had two answers."""
    ticket = json.loads(TICKETS.read_text().splitlines()[line])
    (deployment,) = up.post("deployments/filter", {"deployments": {"name": {"any_": ["handle-ticket"]}}})
    run = up.post(
        f"deployments/{deployment['id']}/create_flow_run",
        {"state": {"type": "SCHEDULED"}, "parameters": {"ticket": ticket, "agent": "retail"}},
    )["id"]
    poll("two answered requests", lambda: _answers(up, run) >= 2)
    return run


def _answers(up: Up, run: str) -> int:
    return _lines(up, run, "request.finished")


def _lines(up: Up, run: str, event: str) -> int:
    return sum(line.event == event and line.run.startswith(run) for line in read(up.witness))


def _held_amid_a_request(up: Up, run: str) -> bool:
    """Stop the run's processes where every answer is kept: a machine may take long for the next command.

    A request begins when the answer before it has been kept.
    """
    processes = flow_processes(run)
    for process in processes:
        process.suspend()
    if processes and _lines(up, run, "request.started") > _answers(up, run):
        return True
    for process in processes:
        process.resume()
    return False


def _effects(up: Up, run: str) -> list[str]:
    with OrderDesk(up.desk_url) as desk:
        return [effect.tool for effect in desk.effects() if effect.key.startswith(run)]


@pytest.mark.timeout(400)
def test_a_run_that_lost_its_store_goes_on_when_it_is_back(own: Up) -> None:
    run = _start(own, 0)
    store = own.folder / "checkpoints"
    away = store.rename(own.folder / "unplugged")
    lost = own.wait_for(run, "Failed", "Completed")
    assert lost["state_name"] == "Failed"
    assert "CheckpointStoreUnavailable" in lost["state"]["message"]
    # Another, empty one is not it.
    store.mkdir()
    poll("the recovery loop's look", lambda: "waits for its checkpoints" in _log(own, "recovery"))
    assert own.state(run) == "Failed"
    _replace(store, away)
    ended = own.wait_for(run, "Completed")
    assert ended["run_count"] == 2
    # The answer that could not be kept was asked for again; what was kept was not.
    assert executed_again(line for line in read(own.witness) if line.run.startswith(run)) <= 1
    assert _effects(own, run) == ["cancel_pending_order"]


def _log(up: Up, service: str) -> str:
    return (up.folder / "logs" / f"{service}.log").read_text(encoding="utf-8")


def _replace(store: Path, away: Path) -> None:
    store.rename(away.with_name("empty"))
    away.rename(store)


@pytest.mark.timeout(400)
def test_what_was_under_way_goes_on_after_down_and_up(own: Up) -> None:
    services = {each["name"]: each["pid"] for each in json.loads((own.folder / "up.json").read_text())["services"]}
    recovery = psutil.Process(services["recovery"])
    recovery.kill()
    recovery.wait()
    refused = own.run("up", code=2).stderr
    assert "only a part is up" in refused
    assert "recovery.log" in refused
    run = _start(own, 1)
    poll("the run held still amid a request", lambda: _held_amid_a_request(own, run))
    # Where there is a Docker there are more.
    stopped = [name for name in own.json("down")["stopped"] if name not in ("broker", "brain-worker")]
    assert stopped == ["worker", "server"]
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{own.api_url}/health")
    second = Up(folder=own.folder, api_url=own.json("up")["api_url"])
    ended = second.wait_for(run, "Completed", "Failed")
    assert ended["state_name"] == "Completed", ended["state"]
    assert ended["run_count"] == 2
    assert executed_again(line for line in read(own.witness) if line.run.startswith(run)) == 0
    assert len(_effects(own, run)) == 1
