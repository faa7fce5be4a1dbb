"""`triptych chaos`: tickets in flight on a stack of its own, kills, and the count of what they did.

This process does not import Prefect: it outlives the server several times.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from triptych.loop.desk import OrderDesk
from triptych.loop.witness import read
from triptych.records import WitnessLine
from triptych.runtime.chaos import answers, killing, tickets
from triptych.runtime.chaos.counting import TicketRun, count
from triptych.runtime.chaos.place import Place
from triptych.runtime.chaos.result import ChaosResult
from triptych.runtime.chaos.server import Server
from triptych.runtime.services import Service, launch
from triptych.runtime.stack import Stack, environment, start, stop
from triptych.settings import ScriptedSettings, Settings

PACE = ScriptedSettings(first_token_seconds=0.6, chunk_seconds=0.005)
"""Slow enough for a kill to meet a model request."""
CONCURRENCY = 5
RECOVERY = (
    *("--poll-seconds", "1"),
    # Shorter than in production: a worker that is killed here says no last word, and many are.
    *("--settle-seconds", "20"),
    *("--silent-seconds", "45"),
    *("--pending-seconds", "45"),
    *("--max-attempts", "100000"),
    *("--backoff-seconds", "0.01"),
)
LOOK_SECONDS = 0.3
ASK_SECONDS = 1.0
SETTLE_SECONDS = 90.0
"""How long the last processes and answers may take after the last ticket's end."""

Say = Callable[[str], None]


class ChaosOptions(BaseModel):
    """What is to happen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tickets: int = Field(ge=1)
    kills: int = Field(ge=0)
    seed: int
    timeout_seconds: float = Field(default=3600.0, gt=0)
    """After that what is not at its end is reported so."""


def run_chaos(project: Path, settings: Settings, options: ChaosOptions, *, say: Say) -> ChaosResult:
    """Handle tickets while processes are killed, and count what that did.

    Args:
        project: The folder with `prefect.yaml`.
        settings: As the environment has them; see `Place` for what is used of them.
        options: What is to happen.
        say: Called with a line of progress.

    Returns:
        The figures. The folder with all books is left where something is not clean, and said.

    Raises:
        ConfigurationError: the stack did not come up, or the database that was named is used by others.
    """
    place = Place(settings, PACE)
    is_clean = False
    # However this is ended, the stack goes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cases = tickets.cases(options.seed, options.tickets)
        with OrderDesk(place.settings.resolved_desk_url) as desk:
            desk.load(tickets.records(cases))
        say(f"seed {options.seed}; the server's database: {place.database}; the store: {place.store}")
        stack = start(
            place.settings,
            project,
            concurrency=CONCURRENCY,
            recover_options=RECOVERY,
            extra=place.environment,
            say=say,
        )
        result = _Chaos(place, stack, cases, options, say).result()
        is_clean = not result.faults
        return result
    finally:
        stop(place.settings)
        if is_clean:
            place.remove()
        else:
            say(f"its logs and books are in {place.folder}")


@dataclass
class _Chaos:
    place: Place
    stack: Stack
    cases: Sequence[tickets.Case]
    options: ChaosOptions
    say: Say

    def result(self) -> ChaosResult:
        server = Server(self.stack.api_url)
        server.stop_schedules()
        supervisor = killing.Supervisor([*self.stack.services, self._person()])
        began = time.monotonic()
        ids = [server.start_ticket(case, f"{self.stack.mark}-{case.ticket.id}") for case in self.cases]
        self.say(f"{len(ids)} tickets are in flight; see them at {self.stack.ui_url}/runs")
        plan = killing.plan(self.options.seed, self.options.kills)
        killer = killing.Killer(plan, supervisor, mark=self.stack.mark, seed=self.options.seed)
        are_ended = self._until_ended(server, supervisor, killer, ids, deadline=began + self.options.timeout_seconds)
        seconds = time.monotonic() - began
        if are_ended:
            self._settle(server, supervisor, ids)
        return self._counted(server.runs(), supervisor, killer, seconds)

    def _person(self) -> Service:
        module = [sys.executable, "-m", "triptych.runtime.chaos.person"]
        program = killing.program(next(each for each in self.stack.services if each.name == "recovery"))
        return launch(
            "person",
            [*module, "--answers", str(self.place.answers), "--seed", str(self.options.seed)],
            folder=program.folder,
            log=self.place.folder / "logs" / "person.log",
            mark=self.stack.mark,
            env={**program.env, **environment(self.stack.api_url, self.stack.prefect_home)},
        )

    def _until_ended(
        self,
        server: Server,
        supervisor: killing.Supervisor,
        killer: killing.Killer,
        ids: Sequence[str],
        *,
        deadline: float,
    ) -> bool:
        """Kill, start again and look until all tickets are at their end; returns whether they came to it in time."""
        asked_at, ended = 0.0, 0
        while time.monotonic() < deadline:
            supervisor.look()
            if time.monotonic() - asked_at >= ASK_SECONDS:
                asked_at, now = time.monotonic(), server.ended()
                if now is not None and now != ended:
                    ended = now
                    self.say(f"{ended} of {len(ids)} tickets at their end, {killer.made.total()} kills")
                if ended >= len(ids):
                    return True
            lines = () if killer.is_done else read(self.place.witness)
            kill = killer.look(self._progress(lines), ids, {line.pid for line in lines}, server.is_up)
            if kill is not None:
                self.say(f"SIGKILL: {kill.target}")
            time.sleep(LOOK_SECONDS)
        return False

    def _progress(self, lines: Sequence[WitnessLine]) -> float:
        """Return the share of all model requests that has been answered, each counted once."""
        answered = len({(line.run, line.key) for line in lines if line.event == "request.finished"})
        return answered / sum(case.requests for case in self.cases)

    def _settle(self, server: Server, supervisor: killing.Supervisor, ids: Sequence[str]) -> None:
        """Wait for the last processes, one of which may be superseded and about to stop, and the last answers."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            supervisor.look()
            flows = killing.flow_processes(self.stack.mark, ids)
            unsettled = answers.unsettled(answers.read(self.place.answers))
            if not flows and not unsettled and server.is_up():
                return
            if time.monotonic() >= deadline:
                break
            time.sleep(LOOK_SECONDS)
        left = ", ".join(f"{each.pid} of run {each.environ().get(killing.FLOW_RUN)}" for each in flows)
        self.say(
            f"{SETTLE_SECONDS:.0f} s after the last end: {len(unsettled)} answers unsettled, processes {left or 'none'}"
        )

    def _counted(
        self,
        runs: dict[str, list[TicketRun]],
        supervisor: killing.Supervisor,
        killer: killing.Killer,
        seconds: float,
    ) -> ChaosResult:
        with OrderDesk(self.place.settings.resolved_desk_url) as desk:
            effects = desk.effects()
        said = answers.read(self.place.answers)
        counts = count(
            [(case, runs.get(case.ticket.id, [])) for case in self.cases], read(self.place.witness), said, effects
        )
        taken = [answer for answer in said if answer.event == "taken"]
        made: Counter[killing.Target] = killer.made
        return ChaosResult(
            **counts._asdict(),
            tickets=len(self.cases),
            seconds=round(seconds, 1),
            seed=self.options.seed,
            kills=made.total(),
            kills_wanted=self.options.kills,
            kills_by_target={str(target): times for target, times in made.items()},
            executions=sum(run.executions for of in runs.values() for run in of),
            approvals_answered=len(taken),
            approvals_denied=sum(not answer.approve for answer in taken),
            services_died=tuple(supervisor.died),
            database=self.place.database,
            store=self.place.store,
        )
