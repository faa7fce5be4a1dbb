"""The kill matrix's harness: one flow run, executed in one process until it dies, and in another to its end.

Each execution is a process of its own that does what a worker's does (`prefect.engine`), on a real server. What is
asserted comes from the witness file, the effects table and the flow run's result, never from the checkpoints.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import shutil
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed, Scheduled
from pydantic import SecretStr

from tests.components.locate import CHECKOUT
from tests.components.prefect_server import PrefectServer
from tests.components.s3 import S3Server
from tests.resume.six_step_run import EFFECTS, RECORDS, Counts, Kill, counted, expected_counts
from tests.resume.zygote import Zygote
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.records import WitnessLine
from triptych.runtime.checkpoints import REDO, run_prefix
from triptych.runtime.store import CheckpointStore

P = ParamSpec("P")
T = TypeVar("T")

STORES = ("folder", "s3")
NOISE = ("Unclosed client", "Unclosed connector", "was destroyed but", "never retrieved", "never awaited")
"""What a process says at its end that left something open."""
# Long enough for a machine with eight other things to do; nothing is measured by it.
_PATIENCE_SECONDS = 180


class Outcome(NamedTuple):
    """What a flow run came to."""

    flow_run_id: str
    result: dict[str, Any]
    """The flow's result: output, spending, tool results."""
    counts: Counts
    """How often each step was started and finished, by the witness."""
    effects: dict[str, int]
    """Lines in the effects table, by tool call."""
    checkpoints: int
    """Objects in the store."""


class Arena:
    """A server, a deployment of the six-step flow, both stores, and an empty desk to copy."""

    def __init__(self, server: PrefectServer, s3: S3Server, folder: Path) -> None:
        self._folder = folder
        (folder / "objects").mkdir(parents=True)
        self.stores = {
            "folder": CheckpointStore(location=str(folder / "objects")),
            "s3": CheckpointStore(
                location=f"s3://{s3.create_bucket()}/kill-matrix",
                endpoint_url=s3.endpoint,
                key=s3.key,
                secret=SecretStr(s3.secret),
                region=s3.region,
            ),
        }
        for name, store in self.stores.items():
            store.save(f"kill-matrix-{name}", overwrite=True)  # pyright: ignore[reportUnusedCoroutine]
        self._desk = folder / "desk.sqlite"
        with OrderDesk(f"sqlite:///{self._desk}") as desk:
            desk.load(RECORDS)
        with _client() as client:
            self._deployment_id = client.create_deployment(
                flow_id=client.create_flow_from_name("six-steps"),
                name="kill-matrix",
                entrypoint="tests/resume/six_steps.py:six_steps",
                pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(CHECKOUT)}}],
            )
        # Last, so that nothing is left running when something above fails.
        self._first, self._second = (Zygote(server.env, folder / f"zygote-{number}.log") for number in (1, 2))

    def close(self) -> None:
        self._first.stop()
        self._second.stop()

    def new_run(self, store: str, *, forgets_keys: bool = False) -> Run:
        """A flow run with a desk and a witness of its own."""
        with _client() as client:
            flow_run = client.create_flow_run_from_deployment(self._deployment_id)
        return Run(self, flow_run.id, store, forgets_keys=forgets_keys)

    def killed_and_resumed(self, store: str, kill: Kill) -> Outcome:
        """Execute a flow run up to the kill, and then to its end."""
        run = self.new_run(store)
        run.execute(kill)
        run.reschedule()
        run.execute()
        return run.outcome()

    def undisturbed(self, store: str) -> Outcome:
        """The same run without a kill."""
        run = self.new_run(store)
        run.execute()
        return run.outcome()


class Run:
    """One flow run."""

    def __init__(self, arena: Arena, flow_run_id: UUID, store: str, *, forgets_keys: bool) -> None:
        self.flow_run_id = flow_run_id
        self.store = arena.stores[store]
        self._arena = arena
        self._folder = arena._folder / str(flow_run_id)  # pyright: ignore[reportPrivateUsage]
        self._folder.mkdir()
        self._desk = self._folder / "desk.sqlite"
        shutil.copy(arena._desk, self._desk)  # pyright: ignore[reportPrivateUsage]
        self.witness = self._folder / "witness.jsonl"
        self._told: dict[str, Any] = {
            "store": f"kill-matrix-{store}",
            "desk": f"sqlite:///{self._desk}",
            "witness": str(self.witness),
            "forgets_keys": forgets_keys,
        }

    def execute(self, kill: Kill | None = None, *, as_second: bool = True, **told_more: Any) -> None:
        """Execute it in a new process, which must end well, or by its own hand where it is told to."""
        log = self._folder / "log"
        told = json.dumps({**self._told, **told_more, "kill": kill})
        env = {
            "PREFECT__FLOW_RUN_ID": str(self.flow_run_id),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "SIX_STEPS": told,
        }
        first = kill or not as_second
        zygote = self._arena._first if first else self._arena._second  # pyright: ignore[reportPrivateUsage]
        status = zygote.run(env, log, timeout_seconds=_PATIENCE_SECONDS)
        wanted = 0 if kill is None else -signal.SIGKILL
        said = log.read_text(errors="replace")[-6000:]
        if noise := [complaint for complaint in NOISE if complaint in said]:
            raise AssertionError(f"{self.flow_run_id}: {noise} in the process's output:\n{said}")
        if status != wanted:
            raise AssertionError(f"{self.flow_run_id}: ended with {status}, not {wanted}; it said:\n{said}")

    def reschedule(self) -> None:
        """Do to the server's books what a worker and a recovery do after a crash."""
        with _client() as client:
            for state in (Crashed(), Scheduled()):
                client.set_flow_run_state(self.flow_run_id, state, force=True)

    def delete_checkpoints_but_the_first(self) -> int:
        async def delete() -> int:
            _, *keys = await self.store.keys(run_prefix(str(self.flow_run_id)))
            for key in keys:
                await self.store.remove(key)
            return len(keys)

        return asyncio.run(delete())

    def let_lost_steps_be_done_again(self) -> None:
        with _client() as client:
            client.update_flow_run(self.flow_run_id, tags=[REDO])

    @property
    def lines(self) -> list[WitnessLine]:
        """What the witness has seen."""
        return read(self.witness)

    def outcome(self) -> Outcome:
        """Read what it came to, from outside."""
        with _client() as client:
            state = client.read_flow_run(self.flow_run_id).state
        assert state is not None
        assert state.type == StateType.COMPLETED, f"{self.flow_run_id}: {state}"
        # Not `state.result()`: it loads the block anew, and every load leaves an open websocket to this process.
        stored = asyncio.run(self.store.read_path(cast(Any, state.data).storage_key))
        return Outcome(
            flow_run_id=str(self.flow_run_id),
            result=json.loads(stored),
            counts=counted(read(self.witness)),
            effects=self.effects(),
            checkpoints=self._count_checkpoints(),
        )

    def effects(self) -> dict[str, int]:
        """Return how often the effect of each call was applied, by the backend's own books."""
        with OrderDesk(f"sqlite:///{self._desk}") as desk:
            calls = [effect.key.rpartition(":")[2] for effect in desk.effects()]
        return {call: calls.count(call) for call in {*EFFECTS, *calls}}

    def _count_checkpoints(self) -> int:
        return len(asyncio.run(self.store.keys(run_prefix(str(self.flow_run_id)))))


def with_settings(function: Callable[P, T]) -> Callable[P, T]:
    """Let another thread call `function` under Prefect's settings of this one."""
    context = contextvars.copy_context()

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        # A copy for each call: a context can be entered once at a time.
        return context.copy().run(function, *args, **kwargs)

    return call


def differences(outcome: Outcome, undisturbed: Outcome, kill: Kill | None) -> list[str]:
    """What is not as it must be; nothing when all is well."""
    found: list[str] = []
    expected = expected_counts(kill)
    for key in sorted({*expected, *outcome.counts}):
        if outcome.counts.get(key, (0, 0)) != expected.get(key, (0, 0)):
            found.append(f"{key}: started, finished {outcome.counts.get(key)}, must be {expected.get(key)}")
    found += [f"effect of {call}: {times} times" for call, times in outcome.effects.items() if times != 1]
    for part, value in undisturbed.result.items():
        if outcome.result.get(part) != value:
            found.append(f"{part}: {outcome.result.get(part)}, undisturbed {value}")
    if outcome.checkpoints != undisturbed.checkpoints:
        found.append(f"{outcome.checkpoints} checkpoints, undisturbed {undisturbed.checkpoints}")
    return found


@contextmanager
def _client() -> Generator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client
