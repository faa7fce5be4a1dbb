"""A whole run: in each round every arm in turn, each served once a round, with all trials that are not over yet."""

from __future__ import annotations

import importlib.util
import sys
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.arms import ARMS, BOX_IMAGE, load_arm
from benchmarks.contract import Item, Trial
from benchmarks.fault_plans import make
from benchmarks.harness import PROJECT
from benchmarks.harness.guard import guarded
from benchmarks.harness.kept import Known
from benchmarks.harness.profiles import TIME_SCALE, Profile, Spec
from benchmarks.harness.trial import Task, place_for, run_trial
from benchmarks.harness.world import world
from benchmarks.workloads import make_items, renamed
from triptych.errors import ConfigurationError
from triptych.sandbox.docker import docker_lacks, image_lacks

NEEDED = ("langgraph", "langchain_openai", "dbos", "pyarrow", "matplotlib", "jinja2")
"""Packages of the group `bench`, as they are imported."""

Say = Callable[[str], None]


def require(profile: Profile) -> None:
    """Refuse to begin where an arm is unknown, or something is missing that the profile needs.

    Raises:
        ConfigurationError: names what is missing, and how to get it.
    """
    unknown = sorted(set(profile.arms) - set(ARMS))
    if unknown:
        raise ConfigurationError(f"there is no arm {', '.join(unknown)}: choose from {', '.join(ARMS)}")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the benchmark compares packages that are not installed here ({', '.join(missing)}): `make bench` "
            "installs them, or: pip install --require-hashes -r requirements-bench.lock"
        )
    if any(ARMS[arm].needs_docker and any(spec.runs_code for _, spec in profile.specs_of(arm)) for arm in profile.arms):
        lacking = docker_lacks() or image_lacks(BOX_IMAGE, f"docker build --tag {BOX_IMAGE} deployments/hands")
        if lacking:
            raise ConfigurationError(f"coding agents work in containers: {lacking}. Without: --workloads retail,...")


def planned_trials(profile: Profile, seed: int, tau: Path | None = None) -> dict[Known, tuple[str, ...]]:
    """Return all trials of a run, with the ids of their items."""
    tasks = (
        _task(arm, spec, at, number, seed, tau)
        for number in range(profile.rounds)
        for arm in profile.arms
        for at, spec in profile.specs_of(arm)
    )
    return {Known.of(task): tuple(item.id for item in task.items) for task in tasks}


def run_rounds(
    profile: Profile, seed: int, say: Say, *, tau: Path | None = None, there: Iterable[Trial] = ()
) -> Iterator[Trial]:
    """Run all trials of a profile, and give each as soon as it is over.

    Args:
        profile: What is run.
        seed: Of items and fault plans: the same seed, the same ones, for every arm.
        say: Called with a line of progress.
        tau: A folder in the public tau-bench format that takes the place of the retail samples.
        there: Trials of this very run that are over already: they are not run again.
    """
    total = sum(profile.planned().values())
    over = {Known.of(trial) for trial in there}
    done = len(over)
    began = time.monotonic()
    for number in range(profile.rounds):
        # Each arm comes first, last and between as often as the others do.
        shift = number % len(profile.arms)
        for arm in profile.arms[shift:] + profile.arms[:shift]:
            for trial in _trials(arm, profile.specs_of(arm), number, seed, say, tau, over):
                done += 1
                ended = sum(each.state == "done" for each in trial.came_of)
                say(
                    f"[{done}/{total}, {time.monotonic() - began:.0f} s] {arm}: {trial.workload} under "
                    f"{trial.plan.name}: {ended} of {len(trial.items)} done"
                )
                yield trial


def _trials(
    arm: str,
    specs: Sequence[tuple[int, Spec]],
    number: int,
    seed: int,
    say: Say,
    tau: Path | None,
    over: Container[Known],
) -> Iterator[Trial]:
    """Serve an arm as it is for the shop's tools alone, and with what runs code, as far as there is work for it."""
    for with_code in (False, True):
        tasks = [_task(arm, spec, at, number, seed, tau) for at, spec in specs if spec.runs_code == with_code]
        tasks = [task for task in tasks if Known.of(task) not in over]
        if tasks:
            yield from _served(arm, tasks, say, with_code=with_code)


def _served(arm: str, tasks: list[Task], say: Say, *, with_code: bool) -> Iterator[Trial]:
    mark = uuid.uuid4().hex
    with guarded(mark) as folder:
        try:
            with world(folder / "world", mark, with_code=with_code) as around:
                place = place_for(folder / arm, around, mark, sys.executable, PROJECT)._replace(runs_code=with_code)
                with load_arm(arm).serve(place) as served:
                    for task in list(tasks):
                        yield run_trial(task, served, place, around, say)
                        tasks.remove(task)
        except Exception as error:  # nothing is scored against an arm that did not come up, or not down
            say(f"{arm}: the harness failed: {type(error).__name__}: {error}")
            for task in tasks:
                yield Trial(
                    arm=arm,
                    workload=task.workload,
                    plan=task.plan,
                    round=task.round,
                    items=task.items,
                    came_of=(),
                    used=None,
                    harness_failure=f"{type(error).__name__}: {error}",
                )


def _task(arm: str, spec: Spec, at: int, number: int, seed: int, tau: Path | None) -> Task:
    items: tuple[Item, ...] = make_items(spec.workload, seed + number, spec.items, tau=tau)
    # The same ids for every arm: a fault plan names them.
    items = tuple(renamed(item, f"r{number}t{at}") for item in items)
    return Task(
        arm=arm,
        workload=spec.workload if spec.at_once is None else f"{spec.workload}-{spec.at_once}",
        items=items,
        plan=make(spec.plan, seed + number, items),
        round=number,
        pace=spec.pace,
        time_scale=TIME_SCALE,
        deadline_seconds=spec.deadline_seconds,
        at_once=spec.at_once,
        read_seconds=spec.read_seconds,
    )
