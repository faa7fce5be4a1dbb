"""What of a benchmark's result matters for a workload, and what the runtime costs there and saves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from triptych.advice.measures import Figure, Measures
from triptych.advice.workload import Workload

BARE, LAYERED = "while_loop", "layered"
"""The arm without panels beside the loop, and Triptych's."""
ARMS = (BARE, "monolith", LAYERED)

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
CONTAINERS = "containers_left"

KILLS = "kills"
"""The plan in which every fault is a crash."""
UNDER_KILLS = (KILLS, "mixed")
NO_FAULTS = ("none",)


@dataclass(frozen=True)
class Wanted:
    """A measure that matters for some workloads."""

    measure: str
    better: Literal["higher", "lower"]
    plans: tuple[str, ...]
    matters: Callable[[Workload], bool]
    arms: tuple[str, ...] = ARMS
    workloads: Callable[[Workload], Sequence[str]] | None = None
    """Which of the benchmark's are most like this one; None: `most_like`."""


def most_like(workload: Workload) -> tuple[str, ...]:
    """Return the benchmark's workloads that come near to this one, the nearest first."""
    if workload.code != "none":
        return ("coding", "retail")
    return ("approvals", "retail") if workload.pauses else ("retail", "approvals")


def crashes_can_cost(workload: Workload) -> bool:
    """Whether a crash can leave something half done: a single request cannot, nor a run that may begin anew."""
    return workload.steps > 1 and not workload.begins_anew


def _by_nearness(kind: str, sizes: tuple[int, ...], wanted: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{size}" for size in sorted(sizes, key=lambda size: abs(size - wanted)))


WANTED: tuple[Wanted, ...] = (
    Wanted(PERSISTENCE, "higher", UNDER_KILLS, lambda it: it.steps > 1),
    Wanted(SUCCESS, "higher", UNDER_KILLS, crashes_can_cost),
    Wanted(SILENT, "lower", UNDER_KILLS, crashes_can_cost),
    Wanted(COST, "lower", NO_FAULTS, lambda _: True),
    Wanted(
        CHECKPOINT, "lower", NO_FAULTS, lambda it: it.steps > 1, (LAYERED,),
        lambda it: _by_nearness("steps", (10, 50, 200), it.steps),
    ),
    Wanted(OVERHEAD, "lower", NO_FAULTS, lambda _: True),
    Wanted(MEMORY, "lower", NO_FAULTS, lambda _: True),
    Wanted(ASKED_AGAIN, "lower", ("restart", "none"), lambda it: it.pauses > 0),
    Wanted(DEPLOYMENT, "lower", ("deploy",), lambda it: it.outlives_deploys),
    Wanted(
        THROUGHPUT, "higher", NO_FAULTS, lambda it: it.parallel > 1, ARMS,
        lambda it: _by_nearness("throughput", (1, 20, 100), it.parallel),
    ),
    Wanted(CONTAINERS, "lower", UNDER_KILLS, lambda it: it.code != "none", (LAYERED,)),
)  # fmt: skip


class Quoted(NamedTuple):
    """What of a result matters for a workload."""

    figures: tuple[Figure, ...]
    unmeasured: tuple[str, ...]
    """`measure of arm`, where the result has none."""
    lost: tuple[str, ...]
    """Where another arm beats ours, beyond the noise: a sentence each."""


class ArmSum(BaseModel):
    """What 10,000 runs of one arm come to, in US dollars."""

    model_config = ConfigDict(frozen=True)

    arm: str
    failures_per_100_crashes: float
    """Runs that ended with an effect wrong, lost or done twice, and runs that did not end well at all."""
    cost_usd: float
    """Of runs without a fault: tokens, compute, idle time."""
    failures_usd: float | None
    """Of what crashes make of them; None: how many runs meet one was not said."""
    total_usd: float | None


class Arithmetic(BaseModel):
    """Whether the runtime pays for itself, in numbers that the reader can check."""

    model_config = ConfigDict(frozen=True)

    failure_cost_usd: float
    crashes_per_10k: float | None
    arms: tuple[ArmSum, ...]
    runtime_usd: float
    """What `layered` costs more than `while_loop`, for 10,000 runs without a fault; below 0 it costs less."""
    break_even_crashes_per_10k: float | None
    """From how many crashes on, in 10,000 runs, the runtime has paid for itself. None: no number speaks for it."""
    within_noise: bool
    """Whether the two arms' failures differ by less than the measurement does, or were measured once only."""
    pays: bool | None
    """None: it is within the noise, or how many runs meet a crash was not said."""


def quote(workload: Workload, measures: Measures) -> Quoted:
    """Return what matters for a workload, and where the arms that compete with ours are better."""
    figures: list[Figure] = []
    unmeasured: list[str] = []
    lost: list[str] = []
    for wanted in WANTED:
        if not wanted.matters(workload):
            continue
        like = (wanted.workloads or most_like)(workload)
        found = {arm: measures.find(wanted.measure, arm, like, wanted.plans) for arm in wanted.arms}
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
        and each.arm != LAYERED
        and (each.workload, each.plan) == (ours.workload, ours.plan)
        and (each.value < ours.value if better == "lower" else each.value > ours.value)
        and each.is_apart_from(ours)
    ]


def work_out(workload: Workload, measures: Measures) -> Arithmetic | None:
    """Return what crashes cost by arm, beside what the runtime costs.

    None where a crash costs nothing, where the price of a failure was not said, or where one of the two arms was not
    measured under `kills`.
    """
    price, crashes = workload.failure_cost_usd, workload.crashes_per_10k
    if price is None or not crashes_can_cost(workload):
        return None
    like = most_like(workload)
    failures: dict[str, _Interval] = {}
    arms: dict[str, ArmSum] = {}
    for arm in ARMS:
        failed = _failures_per_100_crashes(arm, like, measures)
        cost = measures.find(COST, arm, like, NO_FAULTS)
        if failed is None or cost is None or not math.isfinite(failed.value + cost.value):
            continue
        failures_usd = None if crashes is None else crashes * failed.value / 100 * price
        failures[arm] = failed
        arms[arm] = ArmSum(
            arm=arm,
            failures_per_100_crashes=failed.value,
            cost_usd=cost.value,
            failures_usd=failures_usd,
            total_usd=None if failures_usd is None else cost.value + failures_usd,
        )
    if not {BARE, LAYERED} <= arms.keys():
        return None
    runtime_usd = arms[LAYERED].cost_usd - arms[BARE].cost_usd
    saved_by_crash = (failures[BARE].value - failures[LAYERED].value) / 100 * price
    within_noise = not failures[BARE].is_apart_from(failures[LAYERED])
    return Arithmetic(
        failure_cost_usd=price,
        crashes_per_10k=crashes,
        arms=tuple(arms.values()),
        runtime_usd=runtime_usd,
        break_even_crashes_per_10k=max(0.0, runtime_usd / saved_by_crash) if saved_by_crash > 0 else None,
        within_noise=within_noise,
        pays=None if crashes is None or within_noise else crashes * saved_by_crash > runtime_usd,
    )


class _Interval(NamedTuple):
    value: float
    low: float | None
    high: float | None

    def is_apart_from(self, other: _Interval) -> bool:
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.high < other.low or other.high < self.low


def _failures_per_100_crashes(arm: str, like: Sequence[str], measures: Measures) -> _Interval | None:
    """Runs that ended with a wrong effect, and runs that did not end done, by crashes: no run is both."""
    silent = measures.find(SILENT, arm, like, (KILLS,))
    if silent is None or not silent.of:
        return None
    done = measures.find(DONE, arm, (silent.workload,), (KILLS,))
    if done is None or done.of is None:
        return None
    runs_per_crash = done.of / silent.of
    value = silent.value + (100 - done.value) * runs_per_crash
    if silent.low is None or silent.high is None or done.low is None or done.high is None:
        return _Interval(value, None, None)
    return _Interval(
        value, silent.low + (100 - done.high) * runs_per_crash, silent.high + (100 - done.low) * runs_per_crash
    )


def told(figure: Figure) -> str:
    """Return a figure's value, with its unit and interval, such as `99.8% (99.0 to 100.0)`."""
    before, after = _UNITS.get(figure.unit, ("", f" {figure.unit}"))
    value = _number(figure.value, figure.unit)
    said = value if math.isinf(figure.value) else f"{before}{value}{after}"
    if figure.low is None or figure.high is None:
        return said
    return f"{said} ({_number(figure.low, figure.unit)} to {_number(figure.high, figure.unit)})"


_UNITS = {"USD": ("$", ""), "%": ("", "%")}


def _number(value: float, unit: str) -> str:
    if math.isinf(value):
        return "never"
    return {"USD": f"{value:,.2f}", "%": f"{value:,.1f}"}.get(unit) or plain(value)


def plain(value: float) -> str:
    """Return a number with three digits or more, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
