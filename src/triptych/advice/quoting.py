"""What of a benchmark's result matters for a workload, and where another arm is better than ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from triptych.advice.measures import Figure, Measures
from triptych.advice.telling import told
from triptych.advice.workload import Workload

BARE, KEYED, LAYERED = "while_loop", "while_loop_keyed", "layered"
"""The arms without panels beside the loop, the second with idempotency keys; and Triptych's."""
LOOPS = (BARE, KEYED)

PERSISTENCE = "state_persistence_rate"
SUCCESS = "tool_call_success_rate"
DONE = "runs_done_rate"
SILENT = "silent_failures_per_100_faults"
COST = "cost_per_10k_runs"
OVERHEAD = "overhead_p50"
CHECKPOINT = "checkpoint_ms"
MEMORY = "peak_memory"
ASKED_AGAIN = "approvals_asked_again"
DEPLOYMENT = "deployment_overhead"
THROUGHPUT = "runs_per_second"
CREDENTIALS = "credentials_taken_per_100_runs"
CONTAINERS = "containers_left"

RETAIL, APPROVALS, CODING = "retail", "approvals", "coding"
"""Workloads of the benchmark. Nobody is waited for in the first and the last; the last alone runs a model's code."""
KILLS = "kills"
"""The plan in which every fault is a crash."""
UNDER_KILLS = (KILLS, "mixed", "restart")
"""Plans with crashes, those with nothing else first."""
NO_FAULTS = ("none",)
WITH_WAITS = ("none", "restart")
"""For a run that waits: rather with what a restart makes it do again than without what is held meanwhile."""


def is_ours(arm: str) -> bool:
    """Whether an arm is Triptych, with whichever store."""
    return arm == LAYERED or arm.startswith(f"{LAYERED}_")


def _any_arm(arm: str) -> bool:
    return True


def _keeps_checkpoints(arm: str) -> bool:
    return arm not in LOOPS


@dataclass(frozen=True)
class Wanted:
    """A measure that matters for some workloads."""

    measure: str
    better: Literal["higher", "lower"]
    plans: tuple[str, ...]
    matters: Callable[[Workload], bool]
    workloads: Callable[[Workload], Sequence[str]]
    """Which of the benchmark's are like this one in what is measured, the nearest first."""
    of: Callable[[str], bool] = _any_arm
    """The arms of which it says anything."""


def most_like(workload: Workload) -> tuple[str, ...]:
    """Return the benchmark's workloads that come near to this one, the nearest first.

    Where code is run nothing else comes near: boxes, and what gets out of them, are most of what is measured.
    """
    if workload.code != "none":
        return (CODING,)
    return (APPROVALS, RETAIL) if workload.pauses else (RETAIL, APPROVALS)


def priced_like(workload: Workload) -> tuple[str, ...]:
    """Return those that cost what this one does: what is held while people are waited for is most of the cost."""
    if workload.code != "none":
        return () if workload.pauses else (CODING,)
    return (APPROVALS,) if workload.pauses else (RETAIL,)


def crashes_can_cost(workload: Workload) -> bool:
    """Whether a crash can leave something half done: a single request cannot, nor a run that may begin anew."""
    return workload.steps > 1 and not workload.begins_anew


def _waits(workload: Workload) -> bool:
    return workload.pauses > 0


def _runs_code(workload: Workload) -> bool:
    return workload.code != "none"


def _by_nearness(kind: str, sizes: tuple[int, ...], wanted: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{size}" for size in sorted(sizes, key=lambda size: abs(size - wanted)))


def _as_long(workload: Workload) -> tuple[str, ...]:
    return _by_nearness("steps", (10, 50, 200), workload.steps)


def _as_many(workload: Workload) -> tuple[str, ...]:
    return _by_nearness("throughput", (1, 20, 100), workload.parallel)


def _asking(_: Workload) -> tuple[str, ...]:
    return (APPROVALS, RETAIL)


def _deployed(_: Workload) -> tuple[str, ...]:
    return (RETAIL, APPROVALS)


WANTED: tuple[Wanted, ...] = (
    Wanted(PERSISTENCE, "higher", UNDER_KILLS, lambda it: it.steps > 1, most_like),
    Wanted(SUCCESS, "higher", UNDER_KILLS, crashes_can_cost, most_like),
    Wanted(SILENT, "lower", UNDER_KILLS, crashes_can_cost, most_like),
    Wanted(CREDENTIALS, "lower", ("none", KILLS), _runs_code, most_like),
    Wanted(CONTAINERS, "lower", (KILLS, "none"), _runs_code, most_like, is_ours),
    Wanted(COST, "lower", NO_FAULTS, lambda it: not it.pauses, priced_like),
    Wanted(COST, "lower", WITH_WAITS, _waits, priced_like),
    Wanted(CHECKPOINT, "lower", NO_FAULTS, lambda it: it.steps > 1, _as_long, _keeps_checkpoints),
    Wanted(OVERHEAD, "lower", NO_FAULTS, lambda _: True, most_like),
    Wanted(MEMORY, "lower", NO_FAULTS, lambda _: True, most_like),
    Wanted(ASKED_AGAIN, "lower", ("restart", "none"), _waits, _asking),
    Wanted(DEPLOYMENT, "lower", ("deploy",), lambda it: it.outlives_deploys, _deployed),
    Wanted(THROUGHPUT, "higher", NO_FAULTS, lambda it: it.parallel > 1, _as_many),
)


class Quoted(NamedTuple):
    """What of a result matters for a workload."""

    figures: tuple[Figure, ...]
    unmeasured: tuple[str, ...]
    """`measure of arm`, where the result has none."""
    lost: tuple[str, ...]
    """Where another arm beats ours, beyond the noise: a sentence each."""


def arms_of(measures: Measures) -> tuple[str, ...]:
    """Return the arms of a result: loops first, ours last."""
    arms = {each.arm for each in measures.figures}
    return tuple(sorted(arms, key=lambda arm: (is_ours(arm), arm not in LOOPS, arm)))


def quote(workload: Workload, measures: Measures) -> Quoted:
    """Return what matters for a workload, and where the arms that compete with ours are better."""
    figures: list[Figure] = []
    unmeasured: list[str] = []
    lost: list[str] = []
    arms = arms_of(measures)
    # That these two were not measured is said, whichever were.
    arms = (*([] if BARE in arms else [BARE]), *arms, *([] if LAYERED in arms else [LAYERED]))
    for wanted in WANTED:
        if not wanted.matters(workload):
            continue
        like = wanted.workloads(workload)
        found = {arm: measures.find(wanted.measure, arm, like, wanted.plans) for arm in arms if wanted.of(arm)}
        figures += [each for each in found.values() if each is not None]
        unmeasured += [f"{wanted.measure} of {arm}" for arm, each in found.items() if each is None]
        lost += _lost(found, wanted.better)
    return Quoted(tuple(figures), tuple(unmeasured), tuple(lost))


def _lost(found: dict[str, Figure | None], better: Literal["higher", "lower"]) -> list[str]:
    ours = found.get(LAYERED)
    return [
        f"{each.arm} beats {LAYERED} in {each.measure}: {told(each)} against {told(ours)}"
        for each in found.values()
        if each is not None
        and ours is not None
        and not is_ours(each.arm)
        and (each.workload, each.plan) == (ours.workload, ours.plan)
        and (each.value < ours.value if better == "lower" else each.value > ours.value)
        and each.is_apart_from(ours)
    ]
