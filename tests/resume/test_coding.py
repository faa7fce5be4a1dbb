"""SIGKILL of a coding run's process, of its box, and of both, at every step: the same files, the same patch.

Real processes, a real server, real boxes; the harness's `Coder` on a scripted model. No model request is made twice.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed, Scheduled

from tests.components.locate import CHECKOUT
from tests.components.prefect_server import PrefectServer
from tests.components.sandbox import KIND, Broker, running_broker
from tests.resume.arena import with_settings
from tests.resume.coding_run import BASE, JOBS, KILLS, PLAN, Kill, repository
from tests.resume.zygote import Zygote
from triptych.loop.witness import read
from triptych.runtime.checkpoints import run_prefix
from triptych.runtime.store import CheckpointStore
from triptych.sandbox.policy import Template
from triptych.sandbox.snapshots import decode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]

_PATIENCE_SECONDS = 180
REQUESTS = [f"request:{number}" for number in range(1, len(PLAN.turns) + 2)]


class Outcome(NamedTuple):
    """What a coding run came to."""

    result: dict[str, Any]
    tree: dict[str, tuple[Any, ...]]
    """What differs from the repository in the end: each path's kind, mode and content."""
    removed: tuple[str, ...]
    requests: Counter[str]
    """How often each model request was begun."""
    checkpoints: int


class Bench:
    """A server, a broker, a store with the repository, and processes that execute runs."""

    def __init__(self, server: PrefectServer, broker: Broker, folder: Path) -> None:
        self._folder = folder
        (folder / "objects").mkdir()
        self.store = CheckpointStore(location=str(folder / "objects"))
        self.store.save("coding", overwrite=True)  # pyright: ignore[reportUnusedCoroutine]
        asyncio.run(self.store.write(BASE, repository(folder / "repository")))
        (folder / "home").mkdir()
        (folder / "home" / "sandbox").symlink_to(broker.folder)
        with get_client(sync_client=True) as client:
            self._deployment_id = client.create_deployment(
                flow_id=client.create_flow_from_name("coding"),
                name="coding",
                entrypoint="tests/resume/coding.py:coding",
                pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(CHECKOUT)}}],
            )
        self._first, self._second = (Zygote(server.env, folder / f"zygote-{number}.log") for number in (1, 2))

    def close(self) -> None:
        self._first.stop()
        self._second.stop()

    def run(self, kill: Kill | None) -> Outcome:
        """Execute a run to its end, once more where its process is killed."""
        with get_client(sync_client=True) as client:
            flow_run_id = client.create_flow_run_from_deployment(self._deployment_id).id
        folder = self._folder / str(flow_run_id)
        folder.mkdir()
        told = {"home": str(self._folder / "home"), "witness": str(folder / "witness.jsonl"), "kill": kill}
        env = {
            "PREFECT__FLOW_RUN_ID": str(flow_run_id),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "CODING": json.dumps(told),
        }
        statuses = [0] if kill is None or kill.what == "box" else [-signal.SIGKILL, 0]
        for zygote, wanted in zip((self._first, self._second), statuses, strict=False):
            status = zygote.run(env, folder / "log", timeout_seconds=_PATIENCE_SECONDS)
            assert status == wanted, (folder / "log").read_text(errors="replace")[-6000:]
            if status:
                with get_client(sync_client=True) as client:
                    for state in (Crashed(), Scheduled()):
                        client.set_flow_run_state(flow_run_id, state, force=True)
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(flow_run_id).state
        assert state is not None
        assert state.type == StateType.COMPLETED, f"{state}: {(folder / 'log').read_text(errors='replace')[-6000:]}"
        return asyncio.run(self._outcome(str(flow_run_id), cast(Any, state.data).storage_key, folder))

    async def _outcome(self, flow_run_id: str, result_key: str, folder: Path) -> Outcome:
        result = json.loads(await self.store.read_path(result_key))
        key = f"files/{flow_run_id}/{result.pop('files')}"
        snapshot, _ = decode(key, await self.store.read(key) or b"")
        tree = {
            entry.path: (entry.kind, oct(entry.mode), entry.content)
            for entry in snapshot.entries
            # Of these, the one holds process numbers, and the other the times of files.
            if not entry.path.startswith((JOBS, ".git/index"))
        }
        started = Counter(line.key for line in read(folder / "witness.jsonl") if line.event == "request.started")
        checkpoints = len(await self.store.keys(run_prefix(flow_run_id)))
        return Outcome(result, tree, snapshot.removed, started, checkpoints)


@pytest.fixture(scope="module")
def bench(
    prefect_server: PrefectServer, docker_alone: None, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    # A box of a process that was killed makes room soon.
    with running_broker({KIND: template.model_copy(update={"lease_seconds": 10})}) as broker:
        bench = Bench(prefect_server, broker, tmp_path_factory.mktemp("coding"))
        yield bench
        bench.close()


@pytest.fixture(scope="module")
def undisturbed(bench: Bench) -> Outcome:
    return bench.run(None)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, bench: Bench, undisturbed: Outcome
) -> Iterator[dict[Kill, Future[Outcome]]]:
    """All selected kills, two at a time: one process dies while another one finishes."""
    name = test_whoever_dies_the_files_and_the_patch_are_those_of_an_undisturbed_run.__name__
    items = [each for each in request.session.items if isinstance(each, pytest.Function) and each.originalname == name]
    wanted = {each.callspec.params["kill"] for each in items}
    with ThreadPoolExecutor(2) as pool:
        yield {kill: pool.submit(with_settings(bench.run), kill) for kill in KILLS if kill in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_whoever_dies_the_files_and_the_patch_are_those_of_an_undisturbed_run(
    kill: Kill, outcomes: dict[Kill, Future[Outcome]], undisturbed: Outcome
) -> None:
    outcome = outcomes[kill].result()
    assert outcome.result == undisturbed.result
    assert outcome.tree == undisturbed.tree
    assert outcome == undisturbed


def test_the_undisturbed_run_is_what_the_others_are_held_against(undisturbed: Outcome) -> None:
    assert undisturbed.requests == Counter(REQUESTS)
    assert undisturbed.removed == ("old",)
    assert undisturbed.tree["notes"][:2] == ("file", "0o640")
    assert undisturbed.tree["kept/link"] == ("link", "0o777", "../notes")
    assert undisturbed.tree["kept/empty"][0] == "folder"
    assert undisturbed.tree["run.sh"][1] == "0o777"
    for line in ("+half 1", "+whole 1", "+half 3", "+whole 3", "+    return seconds // 3600", "deleted file mode"):
        assert undisturbed.result["patch"].count(line) >= 1
    assert undisturbed.result["output"] == "Mended."
