"""What the harness asks of an arm, and what it gives it. Everything else an arm does its own way."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.contract import State

MARK = "TRIPTYCH_BENCHMARK_MARK"
"""The environment variable that every process of an arm carries, with the value of `Place.mark`: by it they are
measured and killed, and by nothing else."""
SPLIT = "# -- What the harness needs; no user of this architecture writes it. --"
"""The line of an arm's file above which is what its user would write: lines of user code are counted down to here."""


class Job(NamedTuple):
    """One item, as an arm sees it."""

    id: str
    instruction: str
    """What the customer wants. It begins with `Ticket <id>: `."""
    shop_url: str
    """Where this customer's records are; see `benchmarks.shop`."""


class Place(NamedTuple):
    """Where an arm lives for as long as it is served."""

    folder: Path
    """Its own; what it keeps lies below `folder / "state"`, and nothing else does. Logs go to `folder / "logs"`."""
    model_url: str
    """The model's base URL, in the form of OpenAI's (`.../v1`); any key will do."""
    mark: str
    python: str
    """The interpreter that has the arm's packages."""
    project: Path
    """The folder that holds `benchmarks/`, to be the working folder of an arm's processes."""
    instructions: Path
    """A file: the agent's system prompt. Its first line is `Version <n>.`. A deploy is a change of this file, which an
    arm has to read when it starts or is deployed, and not anew for every request."""
    runs_code: bool = False
    """Whether one of the tools runs code that the model wrote (`benchmarks.code`); all tools are in `tools.json`."""


class Look(NamedTuple):
    """How an item stands."""

    state: State
    answer: str | None = None
    """The model's last words, once it is done."""
    asks: str | None = None
    """While it waits for a person: which call it is about, as `name(arguments as sorted JSON)`."""
    reason: str | None = None
    """Why it failed."""


class Service(Protocol):
    """An arm that is up. Called by one thread; no call waits for an item's end."""

    def submit(self, job: Job) -> None:
        """Take an item, as this architecture's client hands one in. It comes once; trying again is the arm's."""
        ...

    def look(self, job: Job) -> Look:
        """Say how an item stands."""
        ...

    def decide(self, job: Job, approve: bool) -> None:
        """Tell the arm what the person said about the call that the item waits for."""
        ...


class Operations(Protocol):
    """What the arm's operator does to it. Each returns once it is done, with what it took: seconds by part."""

    def deploy(self) -> dict[str, float]:
        """Put into force what `Place.instructions` says now, as this architecture is deployed, losing no run."""
        ...

    def restart(self) -> dict[str, float]:
        """Kill all of the arm's processes with SIGKILL, as a power cut does, and have them started again."""
        ...

    def store_outage(self, seconds: float) -> None:
        """Make what the arm keeps unreachable for so long. An arm that keeps nothing does nothing."""
        ...


class Served(Service, Operations, Protocol):
    """Both."""


class Arm(Protocol):
    """A module of this folder."""

    SOURCES: tuple[str, ...]
    """Which files are its user's code (down to `SPLIT`), as paths in this folder."""
    TUNED_BY: tuple[str, ...]
    """What of its own documentation it follows, each with the page's title and address."""

    def serve(self, place: Place) -> AbstractContextManager[Served]:
        """Bring it up, and take it down with every process of its own."""
        ...
