"""What crashes cost by arm, and what running it costs: whether the runtime pays for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from triptych.advice.measures import Figure, Measures
from triptych.advice.quoting import (
    APPROVALS,
    BARE,
    COST,
    DONE,
    KEYED,
    KILLS,
    LAYERED,
    LOOPS,
    NO_FAULTS,
    RETAIL,
    SILENT,
    arms_of,
    crashes_can_cost,
    is_ours,
    most_like,
    priced_like,
)
from triptych.advice.telling import plain
from triptych.advice.workload import MOST_CRASHES, Workload

TO_MEASURE = (BARE, KEYED, "monolith", LAYERED)
"""Arms that are enough for it, and need no more than the benchmark itself does."""


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


class Span(BaseModel):
    """So many crashes in 10,000 runs."""

    model_config = ConfigDict(frozen=True)

    least: float
    most: float
    """10,000: there is no upper limit."""


class Comparison(BaseModel):
    """Ours beside several other arms: beside the best of them, that is."""

    model_config = ConfigDict(frozen=True)

    beside: str
    """The cheapest of them at so many crashes; where none were said, at the least from which the runtime pays, or at
    the most there can be if it never does."""
    runtime_usd: float
    """What `layered` costs more than it, for 10,000 runs without a fault; below 0 it costs less."""
    pays_at: Span | None
    """Where `layered` comes to less than every one of them, by the measured values. None: nowhere."""
    surely_pays_at: Span | None
    """The same wherever the failures lie in their intervals. None: nowhere, or there is no interval."""
    within_noise: bool
    """Whether the intervals leave it open: at the crashes that were said, or, where none were, at any number."""
    pays: bool | None
    """None: it is within the noise, or how many runs meet a crash was not said."""


class Arithmetic(BaseModel):
    """Whether the runtime pays for itself, in numbers that the reader can check."""

    model_config = ConfigDict(frozen=True)

    failure_cost_usd: float
    crashes_per_10k: float | None
    failures_measured: str
    """The benchmark's workload and plan that failures are of."""
    cost_measured: str
    """Those that the cost is of."""
    arms: tuple[ArmSum, ...]
    """The cheapest first: with the crashes that were said, or, where none were, to run without any."""
    left_out: tuple[str, ...]
    """Arms of the result that have not all of these figures."""
    against_loops: Comparison | None
    """Whether a runtime is worth having at all; None: no loop was measured."""
    against_all: Comparison
    """Whether it is ours, of all that were measured."""


class Missing(NamedTuple):
    """Why there is no arithmetic, though a price or a number of crashes was said."""

    why: str


class _Line(NamedTuple):
    """What 10,000 runs come to in US dollars, by how many of them meet a crash."""

    cost: float
    by_crash: float

    def at(self, crashes: float) -> float:
        return self.cost + self.by_crash * crashes


class _Lines(NamedTuple):
    """One arm's: as measured, and, if there is one, at the ends of its failures' interval."""

    value: _Line
    ends: tuple[_Line, _Line] | None


def work_out(workload: Workload, measures: Measures | None) -> Arithmetic | Missing | None:
    """Return what crashes cost by arm, beside what running it costs.

    None where neither the price of a failure nor a number of crashes was said.
    """
    price, crashes = workload.failure_cost_usd, workload.crashes_per_10k
    if price is None and crashes is None:
        return None
    if not crashes_can_cost(workload):
        what = "a run that may begin anew" if workload.begins_anew else "a single request"
        return Missing(f"{what} leaves nothing half done when it dies, so a crash costs no failure")
    if price is None:
        return Missing("what a failure costs was not said (failure_cost_usd), and only its owner knows")
    if not priced_like(workload):
        return Missing("the benchmark has no workload that both runs code and waits, so there is no cost of one")
    if measures is None:
        return Missing(f"nothing was measured here; {_how_to_measure(workload)}")
    ours = _measured(LAYERED, most_like(workload), priced_like(workload), measures)
    if ours is None:
        return Missing(
            f"{measures.source} lacks, of {LAYERED}, failures under the plan {KILLS} or the cost under none, on "
            f"workloads like this; {_how_to_measure(workload)}"
        )
    found = {LAYERED: ours}
    for arm in arms_of(measures):
        # Others count by the same workloads alone: else it is these that would be compared.
        each = _measured(arm, (ours.silent.workload,), (ours.cost.workload,), measures)
        if each is not None:
            found[arm] = each
    if all(is_ours(arm) for arm in found):
        return Missing(f"{measures.source} has no other arm to hold {LAYERED} against; {_how_to_measure(workload)}")
    return _of_arms(found, price, crashes, left_out=tuple(arm for arm in arms_of(measures) if arm not in found))


def _how_to_measure(workload: Workload) -> str:
    # Crashes amid approvals are in no profile: those of retail stand for them.
    failures = RETAIL if most_like(workload)[0] == APPROVALS else most_like(workload)[0]
    workloads = dict.fromkeys((failures, *priced_like(workload)))
    return (
        f"`triptych bench --profile full --arms {','.join(TO_MEASURE)} --workloads {','.join(workloads)}` "
        f"measures it (the smoke profile of `make bench` has no plan {KILLS})"
    )


class _Measured(NamedTuple):
    """What the arithmetic needs of an arm."""

    silent: Figure
    done: Figure
    cost: Figure

    def failures_by_crash(self) -> float:
        """Return runs that ended with a wrong effect and runs that did not end done, by crashes: no run is both."""
        return self._by_crash(self.silent.value, self.done.value)

    def lines(self, price: float) -> _Lines:
        # The interval of the cost is left out: it is of the items, some longer than others, and all arms had the same.
        silent, done = self.silent, self.done
        value = _Line(self.cost.value, price * self.failures_by_crash())
        if silent.low is None or silent.high is None or done.low is None or done.high is None:
            return _Lines(value, None)
        low = value._replace(by_crash=price * self._by_crash(silent.low, done.high))
        return _Lines(value, (low, value._replace(by_crash=price * self._by_crash(silent.high, done.low))))

    def _by_crash(self, silent: float, done: float) -> float:
        return (silent + (100 - done) * (self.done.of or 0) / (self.silent.of or 1)) / 100


def _measured(arm: str, like: Sequence[str], priced: Sequence[str], measures: Measures) -> _Measured | None:
    silent = measures.find(SILENT, arm, like, (KILLS,))
    done = silent and measures.find(DONE, arm, (silent.workload,), (KILLS,))
    cost = measures.find(COST, arm, priced, NO_FAULTS)
    if silent is None or done is None or cost is None or silent.of is None or done.of is None:
        return None
    return _Measured(silent, done, cost)


def _of_arms(found: dict[str, _Measured], price: float, crashes: float | None, left_out: tuple[str, ...]) -> Arithmetic:
    lines = {arm: each.lines(price) for arm, each in found.items()}
    ours = lines[LAYERED]
    others = {arm: each for arm, each in lines.items() if not is_ours(arm)}
    loops = {arm: each for arm, each in others.items() if arm in LOOPS}
    return Arithmetic(
        failure_cost_usd=price,
        crashes_per_10k=crashes,
        failures_measured=f"{found[LAYERED].silent.workload}, {KILLS}",
        cost_measured=f"{found[LAYERED].cost.workload}, {found[LAYERED].cost.plan}",
        arms=tuple(
            _sum(arm, found[arm], lines[arm].value, crashes)
            for arm in sorted(lines, key=lambda arm: lines[arm].value.at(crashes or 0.0))
        ),
        left_out=left_out,
        against_loops=_compare(ours, loops, crashes) if loops else None,
        against_all=_compare(ours, others, crashes),
    )


def _compare(ours: _Lines, others: dict[str, _Lines], crashes: float | None) -> Comparison:
    pays_at = _below(ours.value, [each.value for each in others.values()])
    surely: Span | None = None
    pays: bool | None = None
    is_open = True
    ends = [each.ends for each in others.values() if each.ends is not None]
    if ours.ends is not None and len(ends) == len(others):
        low, high = ours.ends
        lows, highs = [of_one for of_one, _ in ends], [of_one for _, of_one in ends]
        surely = _below(high, lows)
        is_open = surely is None and _below(low, highs) is not None
        if crashes is not None and high.at(crashes) < min(each.at(crashes) for each in lows):
            pays = True
        elif crashes is not None and min(each.at(crashes) for each in highs) < low.at(crashes):
            pays = False
    at = crashes if crashes is not None else MOST_CRASHES if pays_at is None else pays_at.least
    beside = min(others, key=lambda arm: (others[arm].value.at(at), others[arm].value.cost))
    return Comparison(
        beside=beside,
        runtime_usd=ours.value.cost - others[beside].value.cost,
        pays_at=pays_at,
        surely_pays_at=surely,
        within_noise=is_open if crashes is None else pays is None,
        pays=pays,
    )


def _below(one: _Line, others: Sequence[_Line]) -> Span | None:
    """Return at which numbers of crashes one line lies below all others."""
    least, most = 0.0, MOST_CRASHES
    for other in others:
        saved, more = other.by_crash - one.by_crash, one.cost - other.cost
        if saved > 0:
            least = max(least, more / saved)
        elif saved < 0:
            most = min(most, more / saved)
        elif more >= 0:
            return None
    return Span(least=least, most=most) if least < most else None


def _sum(arm: str, measured: _Measured, line: _Line, crashes: float | None) -> ArmSum:
    return ArmSum(
        arm=arm,
        failures_per_100_crashes=100 * measured.failures_by_crash(),
        cost_usd=line.cost,
        failures_usd=None if crashes is None else line.by_crash * crashes,
        total_usd=None if crashes is None else line.at(crashes),
    )


def when_it_pays(found: Comparison) -> str:
    """Say at how many crashes the runtime pays for itself; no number that the noise does not allow."""
    surely = found.surely_pays_at
    if surely is None and found.pays_at is None and not found.within_noise:
        return "it pays for itself at no number of crashes"
    if surely is None:
        return "whether it ever pays for itself is within the noise"
    return (
        f"it pays for itself at {_told(found.pays_at or surely)} crashes in 10,000 runs, beyond the noise at "
        f"{_told(surely)}"
    )


def difference(usd: float) -> str:
    """Say what something costs more, or less."""
    return f"${abs(usd):,.2f} {'more' if usd >= 0 else 'less'}"


def _told(span: Span) -> str:
    return f"{plain(span.least)} {'or more' if span.most == MOST_CRASHES else f'to {plain(span.most)}'}"
