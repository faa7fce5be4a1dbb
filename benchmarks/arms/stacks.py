"""A stack of `triptych up` around an arm's project: brought up, watched over, spoken to through Prefect's API.

The project is a git repository in the place's folder. Its files are the deployment, the instructions, the tools' specs,
and two modules of one line that name the arm's flow and blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
from prefect.client.schemas.objects import FlowRun

from benchmarks.arms.processes import kill_marked, wait_until
from benchmarks.arms.protocol import MARK, Job, Look, Place
from benchmarks.arms.runs import Api, Runs, told
from benchmarks.contract import MODEL
from triptych.errors import CheckpointError
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.approval.waiting import wait_of
from triptych.runtime.chaos.killing import Supervisor
from triptych.runtime.recovery import LOST_PLACE, is_brought_back
from triptych.runtime.services import is_free
from triptych.runtime.stack import Stack, environment, start, stop
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings

MODEL_TIMEOUT_SECONDS = 30
LOOK_SECONDS = 0.25
"""How often it is looked whether a service has died: systemd would know at once, and wait 0.1 s."""


class Store(Protocol):
    """Where the checkpoints are kept."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells Triptych of it."""
        ...

    def opened(self) -> CheckpointStore:
        """Return it for a reader that does not wait for it."""
        ...

    def outage(self, seconds: float) -> None:
        """Make it unreachable for so long."""
        ...


class FolderStore:
    """A folder, whose disk can be taken away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells Triptych of it."""
        return {"TRIPTYCH_STORE__LOCATION": str(self._folder)}

    def opened(self) -> CheckpointStore:
        """Return it for a reader that does not wait for it."""
        return CheckpointStore(location=str(self._folder), outage_seconds=0)

    def outage(self, seconds: float) -> None:
        """Unmount it, as far as others can see: the folder is not there, and nobody may make another in its place."""
        away = self._folder.with_name(f"{self._folder.name}.unmounted")
        self._folder.rename(away)
        try:
            time.sleep(seconds)
        finally:
            away.rename(self._folder)


class Project:
    """The stack of one place."""

    def __init__(self, place: Place, store: Store, module: str, deployment: str) -> None:
        """Make the project's repository; nothing is started yet.

        Args:
            place: Where all of it lives.
            store: Of the checkpoints.
            module: Of the arm, which has the flow `handle` and the blocks' `documents`.
            deployment: The text of `prefect.yaml`.
        """
        self._place, self._store = place, store
        self._folder = place.folder / "project"
        self._settings = Settings(home=place.folder / "state")
        self._stack: Stack | None = None
        self._watch: _Watch | None = None
        self._versions = 0
        self._port = _fixed_port()
        self.runs = Runs(_Ways(store.opened()))
        for folder in (place.folder / "logs", self._settings.folder):
            folder.mkdir(parents=True, exist_ok=True)
        # `up` keeps its logs at home; here they are no part of the state.
        (self._settings.folder / "logs").symlink_to(place.folder / "logs")
        self._make(module, deployment)

    def submit(self, job: Job) -> None:
        """Have the deployment run for it, once however often this is tried."""
        self.runs.submit(job)

    def look(self, job: Job) -> Look:
        """Say how the item's run stands."""
        return self.runs.look(job)

    def decide(self, job: Job, approve: bool) -> None:
        """Resume the item's run with the form filled in, as the Prefect UI does."""
        self.runs.decide(job, approve)

    def start(self) -> dict[str, float]:
        """Bring the stack up, at the address that it had before."""
        began = time.perf_counter()
        wait_until(lambda: is_free(self._port), f"that port {self._port} is free")
        self._stack = start(
            self._settings, self._folder, port=self._port, extra=self._environment, sandbox=self._place.runs_code
        )
        self._watch = _Watch(Supervisor(self._stack.services))
        self.runs.connect(self._stack.api_url)
        return {"up": time.perf_counter() - began}

    def deploy(self) -> dict[str, float]:
        """Commit what the instructions are now, and put the commit in force."""
        assert self._stack is not None
        began = time.perf_counter()
        ref = self._commit()
        committed = time.perf_counter()
        env = {
            **os.environ,
            **environment(self._stack.api_url, self._stack.prefect_home),
            "TRIPTYCH_HOME": str(self._settings.folder),
            **self._environment,
        }
        command = [self._place.python, "-m", "triptych", "deploy", "--ref", ref, "--project", str(self._folder)]
        _run(command, self._folder, env)
        return {"commit": committed - began, "deploy": time.perf_counter() - committed}

    def restart(self) -> dict[str, float]:
        """Cut the power, and bring the stack up again on what is left."""
        self._unwatch()
        began = time.perf_counter()
        kill_marked(self._place.mark)
        return {"kill": time.perf_counter() - began} | self.start()

    def store_outage(self, seconds: float) -> None:
        """Make the store unreachable for so long."""
        self._store.outage(seconds)

    def close(self) -> None:
        """Take the stack down."""
        self._unwatch()
        try:
            stop(self._settings)
        finally:
            kill_marked(self._place.mark)
            self.runs.close()

    @property
    def _environment(self) -> dict[str, str]:
        place = self._place
        return {
            MARK: place.mark,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            # The arm's module is what a user has installed.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(place.project), os.environ.get("PYTHONPATH", "")])),
            "TRIPTYCH_MODEL": f"openai-chat:{MODEL}",
            "TRIPTYCH_REQUEST_TIMEOUT_SECONDS": str(MODEL_TIMEOUT_SECONDS),
            "TRIPTYCH_WHEN_CODE_CHANGES": "finish",
            "OPENAI_BASE_URL": place.model_url,
            "OPENAI_API_KEY": "any",
            **self._store.environment,
        }

    def _make(self, module: str, deployment: str) -> None:
        tools = httpx.get(f"{self._place.model_url.removesuffix('/v1')}/shop/tools.json", timeout=30)
        files = {
            "prefect.yaml": deployment,
            "flows/handle.py": f"from {module} import handle as handle\n",
            "blocks/documents.py": f"from {module} import documents as documents\n",
            "tools.json": tools.raise_for_status().text,
        }
        for name, text in files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        _run(["git", "init", "--quiet"], self._folder)

    def _commit(self) -> str:
        self._versions += 1
        ref = f"v{self._versions}"
        (self._folder / "instructions.md").write_bytes(self._place.instructions.read_bytes())
        who = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "-c", "commit.gpgsign=false"]
        _run(["git", "add", "--all"], self._folder)
        _run(["git", *who, "commit", "--quiet", "--allow-empty", "--message", ref], self._folder)
        _run(["git", "tag", ref], self._folder)
        return ref

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.end()
            self._watch = None


class _Ways:
    """How Triptych asks a person, and which runs its recovery loop brings back."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store

    def asks(self, run: FlowRun, api: Api) -> str | None:
        """Read the call from the ledger of approvals."""
        del api
        wait = wait_of(run.state)
        if wait is None:
            return None
        try:
            request = asyncio.run(Ledger(self._store).request(str(run.id), wait.request_id))
        except CheckpointError:
            return None  # the store is out of reach just now
        return None if request is None else told(request.tool, request.arguments)

    def is_brought_back(self, run: FlowRun) -> bool:
        """Ask Triptych; the second is a place under a limit that a killed server forgot."""
        return is_brought_back(run) or LOST_PLACE in ((run.state and run.state.message) or "")

    def form(self, approve: bool) -> dict[str, Any]:
        """An approval needs a name."""
        return {"approve": approve, "name": "the benchmark's person"}


class _Watch:
    """Has what dies of a stack started again, in a thread of its own."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="supervisor", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._supervisor.look()


@contextmanager
def serve_project(place: Place, store: Store, module: str, deployment: str) -> Generator[Project]:
    """Bring a project's stack up with its first version in force, and take it down with all that it started."""
    project = Project(place, store, module, deployment)
    with contextlib.closing(project):
        project.start()
        project.deploy()
        yield project


def _fixed_port() -> int:
    """Return a free port below those that the system hands out: while the stack is down, nobody is given it."""
    return next(port for port in iter(lambda: random.randrange(20_000, 30_000), 0) if is_free(port))


def _run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")
