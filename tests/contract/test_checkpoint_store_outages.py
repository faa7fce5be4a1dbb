"""A store that goes away for a moment is waited for; a write that is cut off leaves the old object or the new one."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.components.locate import CHECKOUT
from tests.components.prefect_server import PrefectServer
from tests.components.s3 import S3Server
from tests.contract.checkpoint_stores import StoreKind, folder_store, s3_store
from tests.contract.endless_writer import KEY, number_of
from tests.contract.faulty_proxy import Fault, FaultyProxy
from tests.durable_runs import DurableRuns, calls, durable_agent
from triptych.errors import CheckpointStoreUnavailable
from triptych.loop.models import Plan, ScriptedModel
from triptych.loop.witness import Witness, WitnessEvent
from triptych.runtime.folder import FolderBackend
from triptych.runtime.s3 import S3Backend
from triptych.runtime.store import CheckpointStore

FAULTS: tuple[Fault, ...] = ("503", "cut", "429", "silence")


@pytest.mark.parametrize("faults", [[fault] for fault in FAULTS] + [[*FAULTS]], ids="-".join)
async def test_a_fault_that_passes_is_waited_out(faults: list[Fault], s3_server: S3Server) -> None:
    with FaultyProxy(s3_server.endpoint) as proxy:
        store = s3_store(s3_server, endpoint_url=proxy.endpoint, timeout_seconds=0.5)
        for operation in (store.write("a/b", b"x" * 1000), store.read("a/b"), store.keys("a"), store.remove("a/b")):
            proxy.faults[:], proxy.requests = faults, 0
            answer = await operation
            assert answer in (None, b"x" * 1000, ["a/b"])
            # A cut answer to a write or a removal has no body to lose: the server has done it.
            assert proxy.requests > (faults[0] != "cut")


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_patience_it_is_an_error_and_no_miss(fault: Fault, s3_server: S3Server) -> None:
    with FaultyProxy(s3_server.endpoint) as proxy:
        store = s3_store(s3_server, endpoint_url=proxy.endpoint, timeout_seconds=0.5, outage_seconds=0)
        await store.write("a/b", b"x" * 1000)
        proxy.faults[:] = [fault]
        with pytest.raises(CheckpointStoreUnavailable) as caught:
            await store.read("a/b")
        assert proxy.endpoint in str(caught.value)
        assert await store.read("a/b") == b"x" * 1000


class AtTheAnswer(Witness):
    """Does something when the n-th model request has been answered and its checkpoint is not written."""

    def __init__(self, path: Path, number: int, then: Callable[[], None]) -> None:
        super().__init__(path)
        self._key, self._then = f"request:{number}", then

    def write(self, *, event: WitnessEvent, run: str, name: str, key: str) -> None:
        super().write(event=event, run=run, name=name, key=key)
        if (event, key) == ("request.finished", self._key):
            self._then()


PLAN = Plan(turns=(calls(("look", {"what": "a"})), calls(("look", {"what": "b"}), ("look", {"what": "c"}))), final="ok")


def body(runs: DurableRuns, witness: Witness, looked: list[str]) -> Callable[[], Any]:
    def look(what: str) -> str:
        looked.append(what)
        return what.upper()

    async def run() -> str:
        return (await durable_agent(ScriptedModel(PLAN, witness=witness), look).run("Look.")).output

    return run


@pytest.fixture
def runs(s3_server_of_its_own: S3Server, tmp_path: Path, prefect_server: PrefectServer) -> DurableRuns:
    return DurableRuns(s3_store(s3_server_of_its_own), tmp_path)


async def test_an_outage_in_mid_run_is_waited_out_and_nothing_is_asked_twice(
    runs: DurableRuns, s3_server_of_its_own: S3Server
) -> None:
    server, looked = s3_server_of_its_own, list[str]()
    back = threading.Timer(1.0, server.start)

    def go_away() -> None:
        server.kill()
        back.start()

    witness = AtTheAnswer(runs.witness.path, 2, go_away)
    ended = await runs.execute(body(runs, witness, looked))
    back.join()
    assert ended.result == "ok"
    assert runs.asked == ["request:1", "request:2", "request:3"]
    assert sorted(looked) == ["a", "b", "c"]
    assert len(await runs.checkpoints(ended.flow_run_id)) == 6


async def test_a_longer_outage_ends_the_run_which_goes_on_from_its_last_checkpoint(
    runs: DurableRuns, s3_server_of_its_own: S3Server
) -> None:
    server, looked = s3_server_of_its_own, list[str]()
    runs.store = runs.store.model_copy(update={"outage_seconds": 0.5})
    witness = AtTheAnswer(runs.witness.path, 2, server.kill)
    ended = await runs.execute(body(runs, witness, looked))
    assert isinstance(ended.error, CheckpointStoreUnavailable)
    assert server.endpoint in str(ended.error)
    assert (runs.asked, looked) == (["request:1", "request:2"], ["a"])
    server.start()
    again = await runs.execute(body(runs, runs.witness, looked), ended.flow_run_id)
    assert again.result == "ok"
    # The second answer had no checkpoint; it is the only one that is asked for again.
    assert runs.asked == ["request:1", "request:2", "request:2", "request:3"]
    assert sorted(looked) == ["a", "b", "c"]


async def test_a_folder_that_is_unmounted_ends_the_run_at_once_and_nothing_is_written_beside_it(
    tmp_path: Path, prefect_server: PrefectServer
) -> None:
    mounted, elsewhere, looked = tmp_path / "mounted", tmp_path / "elsewhere", list[str]()
    mounted.mkdir()
    runs = DurableRuns(folder_store(mounted), tmp_path)
    witness = AtTheAnswer(runs.witness.path, 2, lambda: (mounted.rename(elsewhere), None)[1])
    ended = await runs.execute(body(runs, witness, looked))
    assert isinstance(ended.error, CheckpointStoreUnavailable)
    assert not mounted.exists()
    elsewhere.rename(mounted)
    again = await runs.execute(body(runs, runs.witness, looked), ended.flow_run_id)
    assert again.result == "ok"
    assert runs.asked == ["request:1", "request:2", "request:2", "request:3"]
    assert sorted(looked) == ["a", "b", "c"]


# A writer that is killed


@contextmanager
def writing(told: dict[str, Any]) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.contract.endless_writer", json.dumps(told)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_write_leaves_the_old_object_or_the_new_one(
    store_kind: StoreKind, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(f"{seed} {store_kind}")
    print(f"seed {seed}")
    if store_kind == "folder":
        # In memory where that is possible: a disk's flush takes so much of a write that no kill would meet the rest.
        in_memory = Path("/dev/shm")
        place = tempfile.mkdtemp(prefix="triptych-", dir=in_memory if os.access(in_memory, os.W_OK) else tmp_path)
        request.addfinalizer(lambda: shutil.rmtree(place))
        told: dict[str, Any] = {"folder": place}
        backend = FolderBackend(**told)
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        told = {"bucket": server.create_bucket(), "prefix": "p", "endpoint_url": server.endpoint, "key": server.key}
        told |= {"secret": server.secret, "region": server.region, "timeout_seconds": 20}
        backend = S3Backend(**told)
    store = CheckpointStore(location=str(tmp_path), secret=SecretStr("s"), key="k")
    store._backend = backend  # pyright: ignore[reportPrivateUsage]
    for _ in range(6):
        with writing(told) as process:
            assert process.stdout is not None
            confirmed = int(process.stdout.readline())
            # Not a measurement: any moment will do, and each one is another place inside a write.
            time.sleep(chance.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.wait()
            confirmed = max([confirmed, *(int(line) for line in process.stdout)])
        found = asyncio.run(store.read(KEY))
        assert found is not None
        # What was confirmed is there, or the write after it.
        assert confirmed <= number_of(found) <= confirmed + 1
        assert asyncio.run(store.keys("torn")) == [KEY]
