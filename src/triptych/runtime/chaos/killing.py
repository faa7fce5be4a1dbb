"""Kills processes of one stack, and starts its services again, as a supervisor does.

What is killed belongs to this stack for certain: its environment says so. When, and what, follows from a seed; which
of the flow processes that are there at that moment does too.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import psutil

from triptych.runtime.services import MARK, Service, launch

Target: TypeAlias = Literal["flow", "worker", "server"]
FLOW_RUN = "PREFECT__FLOW_RUN_ID"
"""The environment variable by which a flow run's process is known."""
LAST_AT = 0.9
"""No kill waits for more of the work than this: what is due then still finds something to kill."""
_SHARES: dict[Target, float] = {"server": 0.1, "worker": 0.15}
"""The rest are flow processes."""
_AT_WORK_SHARE = 0.8
_SEEN_WITHIN_SECONDS = 2.0


class Kill(NamedTuple):
    """One kill, and when it is due."""

    target: Target
    after: float
    """The share of all model requests that has to be answered."""
    pause_seconds: float
    """Wait from there, or from the kill before where that was later: so no point of a run is left out."""


def plan(seed: int, kills: int) -> list[Kill]:
    """Spread kills over the work, not over a time: how long that takes depends on the kills themselves."""
    chance = random.Random(f"{seed} kills")
    shares: dict[Target, float] = _SHARES if kills > len(_SHARES) else {}
    targets: list[Target] = []
    for target, share in shares.items():
        targets.extend(repeat(target, max(1, round(kills * share))))
    targets.extend(repeat("flow", kills - len(targets)))
    chance.shuffle(targets)
    points = sorted(chance.uniform(0, LAST_AT) for _ in targets)
    return [Kill(target, point, chance.uniform(0, 2)) for target, point in zip(targets, points, strict=True)]


class Program(NamedTuple):
    """How a service was started."""

    command: list[str]
    folder: Path
    env: Mapping[str, str]
    log: Path


class Supervisor:
    """Starts the services of a stack again when they are gone.

    Attributes:
        services: Those that run now, by name.
        died: The services that ended although nobody killed them, a name each time.
    """

    def __init__(self, services: Collection[Service]) -> None:
        """Take over the services of a stack, all of which are there."""
        self.services = {service.name: service for service in services}
        self.died: list[str] = []
        self._programs = {service.name: program(service) for service in services}

    def kill(self, name: str) -> bool:
        """Kill a service with SIGKILL, and start it again; returns whether it was there."""
        process = self.services[name].process()
        if process is None:
            return False
        # The server's command is the parent of the server. The worker's flow runs live on: they are other targets.
        family = [process, *process.children(recursive=True)] if name == "server" else [process]
        for each in family:
            _end(each)
        psutil.wait_procs(family, timeout=10)
        self._start(name)
        return True

    def look(self) -> None:
        """Start again what ended by itself."""
        for name, service in list(self.services.items()):
            if service.process() is None:
                self.died.append(name)
                self._start(name)

    def _start(self, name: str) -> None:
        program = self._programs[name]
        service = launch(
            name,
            program.command,
            folder=program.folder,
            log=program.log,
            mark=self.services[name].mark,
            env=program.env,
        )
        # In the moment of its start a process has no environment yet, and would be taken for another's.
        deadline = time.monotonic() + _SEEN_WITHIN_SECONDS
        while service.process() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.services[name] = service


def program(service: Service) -> Program:
    """Return how a service was started."""
    process = psutil.Process(service.pid)
    return Program(process.cmdline(), Path(process.cwd()), process.environ(), service.log)


def _end(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def flow_processes(mark: str, flow_run_ids: Collection[str]) -> list[psutil.Process]:
    """Return the processes of a stack that execute one of these flow runs."""
    return [process for process, run in _marked(mark) if run in flow_run_ids]


def _marked(mark: str) -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        try:
            env = process.environ()
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue  # gone, or somebody else's
        if env.get(MARK) == mark and FLOW_RUN in env and not is_zombie:
            yield process, env[FLOW_RUN]


class Killer:
    """Makes the kills of a plan when they are due.

    Attributes:
        made: The kills so far, by target.
    """

    def __init__(self, kills: list[Kill], supervisor: Supervisor, *, mark: str, seed: int) -> None:
        """Take the plan.

        Args:
            kills: In the order in which they are due.
            supervisor: Has the services.
            mark: The stack's.
            seed: Of the choice among flow processes.
        """
        self.made = Counter[Target]()
        self._left = list(kills)
        self._supervisor = supervisor
        self._mark = mark
        self._chance = random.Random(f"{seed} processes")
        self._due: float | None = None

    @property
    def is_done(self) -> bool:
        """Whether all kills were made."""
        return not self._left

    def look(
        self, progress: float, flow_run_ids: Collection[str], at_work: Collection[int], is_up: Callable[[], bool]
    ) -> Kill | None:
        """Make the next kill, if it is due and there is something to kill.

        Args:
            progress: The share of all model requests that has been answered.
            flow_run_ids: Those whose processes may be killed.
            at_work: The ids of processes that have made a request or called a tool. Most kills take one of these: the
                others are only being started, which takes the longest.
            is_up: Whether the server answers: one that is being started is not killed before it is there.

        Returns:
            The kill that was made.
        """
        if not self._left or progress < self._left[0].after:
            return None
        kill = self._left[0]
        if self._due is None:
            self._due = time.monotonic() + kill.pause_seconds
        if time.monotonic() < self._due or not self._make(kill.target, flow_run_ids, at_work, is_up):
            return None
        self.made[kill.target] += 1
        del self._left[0]
        self._due = None
        return kill

    def _make(
        self, target: Target, flow_run_ids: Collection[str], at_work: Collection[int], is_up: Callable[[], bool]
    ) -> bool:
        if target != "flow":
            return is_up() and self._supervisor.kill(target)
        found = sorted(flow_processes(self._mark, flow_run_ids), key=lambda process: process.pid)
        if self._chance.random() < _AT_WORK_SHARE:
            found = [process for process in found if process.pid in at_work] or found
        return bool(found) and _end(self._chance.choice(found))
