"""The world as a process of its own: started once for an arm, given a job for each trial."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import TypeAdapter

from benchmarks.contract import FaultPlan, Item, LedgerLine
from benchmarks.harness import PROJECT
from triptych.settings import ScriptedSettings

READY_SECONDS = 60.0
_LINE = TypeAdapter(LedgerLine)


class World:
    """The world of one arm.

    Attributes:
        url: Where it listens, on loopback.
    """

    def __init__(self, url: str, folder: Path, mark: str) -> None:
        """Remember where it is."""
        self.url = url
        self._folder = folder
        self._mark = mark
        self._begun = 0

    @property
    def model_url(self) -> str:
        """The model's base URL, as OpenAI's clients take it."""
        return f"{self.url}/v1"

    def shop_url(self, item: str) -> str:
        """Where the records of an item are."""
        return f"{self.url}/shop/{item}"

    def begin(self, name: str, items: Sequence[Item], plan: FaultPlan, pace: ScriptedSettings) -> Ledger:
        """Give it the items and faults of the next trial.

        Args:
            name: The trial's, for the ledger's file.
            items: Probes included.
            plan: What strikes them.
            pace: The model's.

        Returns:
            What it will write down.

        Raises:
            RuntimeError: it refuses the job; says why.
        """
        self._begun += 1
        ledger = f"{self._begun}-{name}.jsonl"
        job = {
            "items": [item.model_dump(mode="json") for item in items],
            "plan": plan.model_dump(mode="json"),
            "pace": pace.model_dump(mode="json"),
            "marks": [self._mark],
            "ledger": ledger,
        }
        answer = httpx.put(f"{self.url}/world/job", json=job, timeout=60)
        if answer.status_code != 200:
            raise RuntimeError(f"the world refuses the trial {name}: {answer.text}")
        return Ledger(self._folder / ledger)


class Ledger:
    """The ledger of one trial, read as it grows."""

    def __init__(self, path: Path) -> None:
        """Remember the file; it need not be there yet."""
        self._path = path
        self._read = 0
        self.lines: list[LedgerLine] = []
        """All whole lines so far; `refresh` brings in more."""

    def refresh(self) -> list[LedgerLine]:
        """Read what was written since, and return all lines."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            self.lines += [_LINE.validate_json(line) for line in whole.splitlines() if line]
        return self.lines


@contextmanager
def world(folder: Path, mark: str, *, with_code: bool = False) -> Generator[World]:
    """Start a world, and end it.

    Args:
        folder: Its own.
        mark: Of the arm whose processes it may kill.
        with_code: Whether the arm is told of a tool that runs code.

    Raises:
        RuntimeError: it did not come up; says what it said.
    """
    folder.mkdir(parents=True)
    ready = folder / "ready"
    log = folder / "world.log"
    command = [sys.executable, "-m", "benchmarks.world.server", "--folder", str(folder), "--ready-file", str(ready)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command + (["--with-code"] if with_code else []),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not (ready.exists() and ready.read_text().strip()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the world did not come up:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
        yield World(ready.read_text().strip(), folder, mark)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
