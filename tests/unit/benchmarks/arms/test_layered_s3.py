"""The layered arm with its checkpoints on a real S3 server."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from benchmarks.arms.layered_s3 import BucketStore
from benchmarks.contract import Fault
from benchmarks.object_store import ObjectStore, object_store
from tests.unit.benchmarks.arms import arena as arenas
from tests.unit.benchmarks.arms.arena import SLOW, World, approval_item, refund_item
from tests.unit.benchmarks.arms.one_stack import RECOVERY_SECONDS, Trial, one_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(world: World, tmp_path_factory: pytest.TempPathFactory) -> Generator[Trial]:
    with one_stack(world, tmp_path_factory.mktemp("layered_s3"), "layered_s3") as trial:
        yield trial


@pytest.fixture
def trial(stack: Trial, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(arenas, "DEADLINE_SECONDS", RECOVERY_SECONDS)
    return stack


def test_an_outage_is_one(tmp_path: Path) -> None:
    with object_store(tmp_path / "objects") as server:
        assert server is not None
        assert _answers(server)
        outage = threading.Thread(target=BucketStore(server).outage, args=(3,))
        outage.start()
        arenas.wait_until(lambda: not _answers(server) or not outage.is_alive(), "the outage", timeout_seconds=30)
        assert outage.is_alive()
        outage.join()
        assert _answers(server)


def _answers(server: ObjectStore) -> bool:
    try:
        # It refuses a stranger, but it answers.
        return httpx.get(server.endpoint_url, timeout=1).is_client_error
    except httpx.TimeoutException:
        return False


def test_undisturbed_items_are_done_with_each_step_taken_once(trial: Trial) -> None:
    arena = trial((refund_item("calm"),))
    arena.submit()
    arena.done()
    assert (arena.times("calm", "request"), arena.times("calm", "call")) == ([1] * 4, [1] * 3)
    assert arena.effects("calm") == 1
    assert list((arena.place.folder / "state" / "objects").rglob("checkpoints/*"))


def test_a_killed_run_goes_on_from_its_last_checkpoint(trial: Trial) -> None:
    items = (refund_item("effect"), approval_item("yes", "approve"))
    arena = trial(items, Fault(item="effect", kind="call", step=1, what="kill", when="done"))
    arena.submit()
    assert arena.until("yes", "waiting").asks == 'refund({"amount": 600.0, "order_id": "#T1009"})'
    arena.decide("yes", True)
    arena.done()
    assert (arena.times("effect", "request"), arena.times("effect", "call")) == ([1] * 4, [1, 2, 1])
    assert (arena.effects("effect"), arena.effects("yes")) == (1, 1)


def test_a_server_that_hangs_for_a_while_is_waited_for(trial: Trial) -> None:
    arena = trial((refund_item("away"),), pace=SLOW)
    arena.submit()
    arenas.wait_until(
        lambda: arena.lines("away", kind="request", event="finished") != [], "the first request", timeout_seconds=90
    )
    arena.served.store_outage(8)
    arena.done()
    assert (arena.times("away", "request"), arena.times("away", "call")) == ([1] * 4, [1] * 3)
    assert arena.effects("away") == 1
