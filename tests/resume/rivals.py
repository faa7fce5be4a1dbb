"""Two executions of one flow run at the same time, each in a process of its own; one of them must go on.

The second one claims the run when the first one has come so far, by the witness, and a moment later.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.resume.six_step_run import EFFECTS, STEPS
from triptych.loop.witness import read
from triptych.runtime import steps

if TYPE_CHECKING:
    from tests.resume.arena import Arena, Outcome, Run

LINES = 2 * len(STEPS) + len(EFFECTS)
"""What the witness of an undisturbed run holds."""
AT_ONCE = 2
"""The most calls that one response of the plan makes side by side: so many may be under way when a run changes
hands."""
PACE_SECONDS = 0.15
_PATIENCE_SECONDS = 60


class Trial(NamedTuple):
    """When the second execution begins."""

    after_lines: int
    delay_seconds: float


def trials(seed: int, count: int) -> list[Trial]:
    """Trials spread over all steps, with random delays."""
    chance = random.Random(seed)
    points = [number * LINES // count for number in range(count)]
    return [Trial(point, chance.uniform(0, 0.05)) for point in points]


def contend(told: Mapping[str, Any] | None) -> float:
    """Called by the flow before it claims its run: wait for the other one to come so far.

    Returns:
        How long each step is to take, in seconds: longer than it takes to claim a run.
    """
    if told is None:
        return 0.0
    witness = Path(told["witness"])
    witness.with_name(f"ready-{os.getpid()}").touch()
    _wait_for(lambda: len(list(witness.parent.glob("ready-*"))) == 2)
    _wait_for(lambda: len(read(witness)) >= told["after_lines"])
    time.sleep(told["delay_seconds"])
    if told["ignores_ownership"]:

        async def nobody_asks(*_: object) -> None:
            return None

        steps.require = nobody_asks
    return PACE_SECONDS


def _wait_for(condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + _PATIENCE_SECONDS:
            raise TimeoutError("the other execution did not come so far")
        time.sleep(0.002)


def contended(arena: Arena, store: str, trial: Trial) -> tuple[Outcome, Counter[str]]:
    """Have two processes execute one run.

    Returns:
        What it came to, and how often each step was started.
    """
    run = rivalry(arena, store, trial)
    return run.outcome(), starts(run)


def rivalry(arena: Arena, store: str, trial: Trial, *, ignores_ownership: bool = False) -> Run:
    """Have two processes execute one run, and return it; without ownership it may end in any way."""
    run = arena.new_run(store)
    told = {"witness": str(run.witness), "ignores_ownership": ignores_ownership}
    now = {"after_lines": 0, "delay_seconds": 0.0}
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(run.execute, as_second=False, rival=told | now),
            pool.submit(run.execute, rival=told | trial._asdict()),
        ]
        for each in both:
            each.result()
    return run


def starts(run: Run) -> Counter[str]:
    """Return how often each step was started, by the witness."""
    return Counter(line.key for line in run.lines if line.event.endswith(".started"))


def faults(outcome: Outcome, started: Counter[str], undisturbed: Outcome) -> list[str]:
    """What is not as it must be; nothing when all is well."""
    found = [f"{key} was started {times} times" for key, times in started.items() if times > 2]
    if len(twice := [key for key, times in started.items() if times > 1]) > AT_ONCE:
        found.append(f"{len(twice)} steps were taken by both: {sorted(twice)}")
    found += [f"effect of {call}: {times} times" for call, times in outcome.effects.items() if times != 1]
    found += [
        f"{part}: {outcome.result.get(part)}, undisturbed {value}"
        for part, value in undisturbed.result.items()
        if outcome.result.get(part) != value
    ]
    return found
