"""What every demo has: a home and a stack of its own for a while, and a person who decides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
from rich.console import Console
from rich.live import Live
from rich.prompt import Confirm
from rich.table import Table
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from triptych.errors import TriptychError
from triptych.loop.witness import read
from triptych.records import ApprovalDecision, ApprovalRequest, Record, WitnessLine
from triptych.runtime.stack import Stack, environment, start, stop
from triptych.settings import ScriptedSettings, Settings

LOOK_SECONDS = 0.5
CONCURRENCY = 3
_LOOKS = 5
_OVER = ("COMPLETED", "FAILED", "CANCELLED")

RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Stage:
    """A stack that is up for one demo."""

    settings: Settings
    stack: Stack
    console: Console

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command use this stack."""
        return {**environment(self.stack.api_url, self.stack.prefect_home), **as_environment(self.settings)}

    @property
    def witness(self) -> list[WitnessLine]:
        """What the model and the tools saw so far."""
        assert self.settings.witness is not None
        return read(self.settings.witness)

    def play(
        self, arguments: Sequence[str], project: Path, *, look: Callable[[], Table], meanwhile: Callable[[], None]
    ) -> dict[str, Any]:
        """Run a command of ours and return the JSON that it prints.

        Args:
            arguments: Of `triptych`, without `--json`.
            project: The folder with `prefect.yaml`.
            look: Makes the table that is shown, twice a second.
            meanwhile: Called more often.

        Raises:
            TriptychError: it printed no JSON; what it said instead is told.
        """
        command = [sys.executable, "-m", "triptych", *arguments, "--json"]
        # The display has the screen; the UI has the logs.
        env = {**os.environ, **self.environment, "PREFECT_LOGGING_LEVEL": "ERROR"}
        with (self.settings.folder / "logs" / f"{arguments[0]}.log").open("w+", encoding="utf-8") as log:
            running = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                with Live(console=self.console, refresh_per_second=2, transient=True) as live:
                    while running.poll() is None:
                        live.update(look())
                        for _ in range(_LOOKS):
                            meanwhile()
                            time.sleep(LOOK_SECONDS / _LOOKS)
            finally:
                running.kill()
                said, _ = running.communicate()
            log.seek(0)
            try:
                return cast("dict[str, Any]", json.loads(said))
            except ValueError:
                raise TriptychError(f"`triptych {arguments[0]}` came to nothing:\n{log.read().strip()}") from None

    def runs(self, flow: str) -> dict[str, tuple[str, str]]:
        """Return name and state of a flow's runs, by id; none where the server is busy: the next look comes soon."""
        body = {"flows": {"name": {"any_": [flow]}}, "limit": 200, "offset": 0, "sort": "ID_DESC"}
        try:
            answer = httpx.post(f"{self.stack.api_url}/flow_runs/filter", json=body, timeout=10)
            answer.raise_for_status()
        except httpx.HTTPError:
            return {}
        return {run["id"]: (run["name"], run["state_name"] or "") for run in answer.json()}

    def decide(self, run_id: str, *, approve: bool | None) -> None:
        """Show what a person is asked, and answer as they say: by resuming the run, as in the Prefect UI.

        Args:
            run_id: The flow run that waits.
            approve: The answer; None: the person at the terminal gives it.
        """
        url = f"{self.stack.api_url}/flow_runs/{run_id}"
        request_id = self._state(run_id)["state_details"]["pause_key"].split("-")[1]
        stored = self._approvals / run_id / request_id / "request.json"
        request = ApprovalRequest.model_validate_json(stored.read_bytes())
        amount = "an unknown amount" if request.amount_usd is None else f"{request.amount_usd:.2f} USD"
        what = "make a branch of a patch" if request.change else f"pay out {amount}"
        self.console.print(
            f"A person is asked: {request.tool} would {what}. The run is suspended; it has no process.\n"
            f"  {self.stack.ui_url}/runs/flow-run/{run_id}   (Resume)\n"
            f"  TRIPTYCH_HOME={self.settings.folder} triptych approvals approve {request_id} --name YOU",
            style="bold yellow",
            highlight=False,
            soft_wrap=True,
        )
        for line in request.change.splitlines():
            style = {"+": "green", "-": "red"}.get(line[:1])
            self.console.print(f"  {line}", style=style, markup=False, highlight=False, soft_wrap=True)
        chosen = Confirm.ask("Approve it?", console=self.console, default=False) if approve is None else approve
        answer = {"approve": chosen, "name": "the demo" if approve is not None else "you, at the terminal"}
        # A server on SQLite answers 503 while its database is locked.
        for attempt in Retrying(
            retry=retry_if_exception_type(httpx.HTTPError),
            stop=stop_after_delay(60),
            wait=wait_fixed(LOOK_SECONDS),
            reraise=True,
        ):
            with attempt:
                httpx.post(f"{url}/resume", json={"run_input": answer}, timeout=30).raise_for_status()

    def report_of(self, run_id: str, record: type[RecordT]) -> RecordT | str:
        """Wait for a run's end; return what it ended with, or, where it failed, what its state says."""
        while (state := self._state(run_id))["type"] not in _OVER:
            time.sleep(LOOK_SECONDS)
        if state["type"] != "COMPLETED":
            return str(state["message"])
        stored = self.settings.folder / "checkpoints" / "results" / state["data"]["storage_key"]
        return record.model_validate_json(stored.read_bytes())

    def ledger(self) -> list[tuple[ApprovalRequest, ApprovalDecision]]:
        """Return what was asked and decided."""
        return [
            (
                ApprovalRequest.model_validate_json(file.with_name("request.json").read_bytes()),
                ApprovalDecision.model_validate_json(file.read_bytes()),
            )
            for file in sorted(self._approvals.glob("*/*/decision.json"))
        ]

    def wait_for_interrupt(self) -> None:
        """Leave the stack up until Ctrl-C."""
        self.console.print("\nThe server stays up. Ctrl-C ends it and removes all that the demo made.", style="bold")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return

    @property
    def _approvals(self) -> Path:
        return self.settings.folder / "checkpoints" / "approvals"

    def _state(self, run_id: str) -> dict[str, Any]:
        return httpx.get(f"{self.stack.api_url}/flow_runs/{run_id}", timeout=30).json()["state"]


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make a process use these settings of a demo's."""
    return {
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "TRIPTYCH_HOME": str(settings.folder),
        "TRIPTYCH_MODEL": settings.model,
        "TRIPTYCH_DESK_URL": settings.resolved_desk_url,
        "TRIPTYCH_WITNESS": str(settings.witness),
        "TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS": str(settings.scripted.first_token_seconds),
        "TRIPTYCH_SCRIPTED__CHUNK_SECONDS": str(settings.scripted.chunk_seconds),
        "TRIPTYCH_BRAIN__NETWORK": settings.brain.network,
        "TRIPTYCH_BRAIN__FOLDERS": json.dumps([str(each) for each in settings.brain.folders]),
    }


@contextmanager
def new_home(first_token_seconds: float) -> Generator[Settings]:
    """Give the settings of a home of the demo's own; nothing of it is left afterwards.

    Args:
        first_token_seconds: How long the scripted model thinks.
    """
    folder = Path(tempfile.mkdtemp(prefix="triptych-demo-"))
    brain = Settings().brain
    try:
        yield Settings(
            model="scripted",
            scripted=ScriptedSettings(first_token_seconds=first_token_seconds, chunk_seconds=0.005),
            home=folder,
            desk_url=f"sqlite:///{folder / 'desk.sqlite'}",
            witness=folder / "witness" / "witness.jsonl",
            # The scripted model is reached without any.
            brain=brain.model_copy(update={"network": "none", "folders": [folder / "witness"]}),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened(settings: Settings, project: Path, console: Console) -> Generator[Stage]:
    """Have a stack up for a while.

    Args:
        settings: Of `new_home`.
        project: The folder with `prefect.yaml`.
        console: Where everything is shown.

    Raises:
        ConfigurationError: a service did not come up.
    """
    try:
        stack = start(
            settings,
            project,
            concurrency=CONCURRENCY,
            recover_options=("--poll-seconds", "1"),
            extra=as_environment(settings),
            say=lambda line: console.print(line, style="dim", highlight=False, soft_wrap=True),
        )
        yield Stage(settings, stack, console)
    finally:
        stop(settings)


def who_decides(approve: bool | None, console: Console) -> bool | None:
    """Return what is decided without asking: where nobody sits at a terminal, yes; None: they are asked."""
    if approve is None and not (console.is_terminal and sys.stdin.isatty()):
        return True
    return approve
