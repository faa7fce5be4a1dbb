"""The four claims that came with the published table, each held against what was measured here."""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple, TypeAlias

from benchmarks.reporting.measured import ALL_FAULTS, NOISE, US, Key, Results
from benchmarks.reporting.numbers import Figure, alone, with_interval
from benchmarks.reporting.published import DEPLOYMENT

HOLDS: Final = "holds"
DOES_NOT_HOLD: Final = "does not hold"
INSIDE_THE_NOISE: Final = "inside the noise"
TOO_FEW_FOR: Final = "too few rounds to say; the figure is for it"
TOO_FEW_AGAINST: Final = "too few rounds to say; the figure is against it"
BOTH_NEVER: Final = "nothing can be said: it is never in both"
NOT_MEASURED_HERE: Final = "not measured here"
Verdict: TypeAlias = Literal[
    "holds",
    "does not hold",
    "inside the noise",
    "too few rounds to say; the figure is for it",
    "too few rounds to say; the figure is against it",
    "nothing can be said: it is never in both",
    "not measured here",
]
_WORST_FIRST = (DOES_NOT_HOLD, TOO_FEW_AGAINST, INSIDE_THE_NOISE, TOO_FEW_FOR, HOLDS)
MONOLITH = "monolith"
"""What the claims of savings are against: by it the derived figures of the published table come out."""
LESS_OVERHEAD = 0.73
LESS_COST = 0.25
"""About 30% less: at least a quarter."""
CHECKPOINT_MS = (10.0, 20.0)
"""About 15 ms: from 10 to 20."""
CODING = "coding"
"""What the names of workloads with coding agents begin with."""
CANNOT_SAY = (
    "What a silent failure costs to find and mend (the claim says 3 to 5 times as much) is not measured and cannot be: "
    "that is people's time, and none of it is in here. What can be counted are the silent failures.",
    "What another machine, another provider or a real model would show. The model is scripted, with the same delays "
    "for every arm.",
    "How often crashes and faults come in production. They come here far more often, so that there is something to "
    "count; the rates under faults are about one fault, not about one day.",
)
"""What no figure in here answers."""


class Claim(NamedTuple):
    """One claim, and what became of it."""

    claim: str
    verdict: Verdict
    figures: str
    """What the verdict rests on."""


def claims(results: Results) -> tuple[Claim, ...]:
    """Return the claims with their verdicts: computed from the measures, by the bounds that are written above."""
    return (
        _overhead(results),
        _checkpoints(results),
        _approvals(results),
        _coding(results),
        _silent_failures(results),
    )


def saving(ours: Figure, theirs: Figure) -> Figure:
    """Return which share ours is less than theirs, with the widest interval that both intervals allow.

    It is infinite where theirs never came and ours did, and less than any number where ours never came. Where neither
    came there is none.
    """
    if ours.value is None or theirs.value is None or is_never_in_both(ours, theirs):
        return Figure(None)
    low = high = None
    if ours.low is not None and ours.high is not None and theirs.low is not None and theirs.high is not None:
        low, high = _share(ours.high, theirs.low), _share(ours.low, theirs.high)
    return Figure(_share(ours.value, theirs.value), low, high)


def is_never_in_both(ours: Figure, theirs: Figure) -> bool:
    """Whether there is nothing to hold against each other: both are infinite."""
    return ours.value == theirs.value == math.inf


def _share(ours: float, theirs: float) -> float:
    if math.isinf(ours) or theirs == 0:
        return -math.inf if ours > 0 else 0.0
    return math.inf if math.isinf(theirs) else 1 - ours / theirs


def at_least(figure: Figure, bound: float) -> Verdict:
    """Return whether a figure is at least so much, noise considered."""
    if figure.value is None:
        return NOT_MEASURED_HERE
    if figure.low is None or figure.high is None:
        return TOO_FEW_FOR if figure.value >= bound else TOO_FEW_AGAINST
    if figure.low < bound <= figure.high:
        return INSIDE_THE_NOISE
    return HOLDS if figure.low >= bound else DOES_NOT_HOLD


def within(figure: Figure, least: float, most: float) -> Verdict:
    """Return whether a figure lies between two bounds, noise considered."""
    if figure.value is None:
        return NOT_MEASURED_HERE
    if figure.low is None or figure.high is None:
        return TOO_FEW_FOR if least <= figure.value <= most else TOO_FEW_AGAINST
    if least <= figure.low and figure.high <= most:
        return HOLDS
    return DOES_NOT_HOLD if figure.high < least or figure.low > most else INSIDE_THE_NOISE


def _percent(share: Figure) -> str:
    hundred = Figure(*(None if each is None else 100 * each for each in share))
    if hundred.value is None or any(each is not None and math.isinf(each) for each in hundred):
        return "no percentage, since one of them never came"
    word = "less"
    if hundred.value < 0:
        word = "more"
        low, high = (None if each is None else -each for each in (hundred.high, hundred.low))
        hundred = Figure(-hundred.value, low, high)
    value, _, interval = with_interval(hundred).partition(" ")
    return f"{value}% {word} {interval}"


def _both(results: Results, key: Key) -> str:
    return (
        f"`{US}` {with_interval(results.figure(US, key))}, `{MONOLITH}` {with_interval(results.figure(MONOLITH, key))}"
    )


def _overhead(results: Results) -> Claim:
    claim = "73% less deployment overhead than a monolith"
    ours, theirs = (results.figure(arm, DEPLOYMENT.key) for arm in (US, MONOLITH))
    share = saving(ours, theirs)
    if ours.value is None or theirs.value is None:
        return Claim(claim, NOT_MEASURED_HERE, f"minutes: {_both(results, DEPLOYMENT.key)}")
    serving = Key("deployment_serving", *DEPLOYMENT.key[1:])
    figures = (
        f"minutes, no run lost: {_both(results, DEPLOYMENT.key)}: {_percent(share)}. Whatever was lost: "
        f"{_both(results, serving)}"
    )
    verdict = BOTH_NEVER if is_never_in_both(ours, theirs) else at_least(share, LESS_OVERHEAD)
    return Claim(claim, verdict, figures)


def _checkpoints(results: Results) -> Claim:
    claim = "about 15 ms of checkpointing a step"
    keys = [key for key in results.keys if key.measure == "checkpoint_ms" and results.of(US, key) is not None]
    if not keys:
        return Claim(claim, NOT_MEASURED_HERE, "ms over a bare step: not measured")
    figures = [results.figure(US, key) for key in keys]
    verdicts = [within(figure, *CHECKPOINT_MS) for figure in figures]
    # It is said of a step, however long the run is: one length at which it is otherwise is enough.
    verdict: Verdict = next(each for each in _WORST_FIRST if each in verdicts)
    said = "; ".join(f"{key.workload}: {with_interval(figure)}" for key, figure in zip(keys, figures, strict=True))
    return Claim(
        claim,
        verdict,
        f"ms over a bare step of `{US}`, {CHECKPOINT_MS[0]:.0f} to {CHECKPOINT_MS[1]:.0f} are about 15: {said}",
    )


def _approvals(results: Results) -> Claim:
    claim = "about 30% less cost than a monolith where people approve"
    return _less_cost(results, claim, Key("cost_per_10k_runs", "approvals", "none"))


def _coding(results: Results) -> Claim:
    claim = "about 30% less cost than a monolith where coding agents run in batches"
    measured = [
        key
        for key in results.keys
        if key.measure == "cost_per_10k_runs" and key.workload.startswith(CODING) and key.plan == "none"
    ]
    if not measured:
        return Claim(claim, NOT_MEASURED_HERE, "no workload with coding agents was run in more than one arm")
    return _less_cost(results, claim, measured[0])


def _less_cost(results: Results, claim: str, key: Key) -> Claim:
    share = saving(results.figure(US, key), results.figure(MONOLITH, key))
    figures = f"USD for 10,000 runs: {_both(results, key)}"
    if share.value is not None:
        figures += f": {_percent(share)}; a quarter counts as about 30%"
    return Claim(claim, at_least(share, LESS_COST), figures)


def _silent_failures(results: Results) -> Claim:
    claim = "no more silent failures"
    keys = [key for key in results.keys if key.measure == "silent_failures_per_100_faults" and key.plan == ALL_FAULTS]
    counted: dict[str, tuple[float, float]] = {}
    for arm in results.arms:
        found = [measured for key in keys if (measured := results.of(arm, key)) is not None]
        parts = sum(each.part or 0.0 for each in found)
        faults = sum(each.of or 0.0 for each in found)
        if faults > 0:
            counted[arm] = (parts, faults)
    said = "; ".join(
        f"`{arm}` {parts:.0f} among {faults:.0f} faults ({alone(Figure(100 * parts / faults))} per 100)"
        for arm, (parts, faults) in counted.items()
    )
    if US not in counted:
        return Claim(claim, NOT_MEASURED_HERE, said or "no fault struck")
    ours, faults = counted[US]
    if ours > 0:
        return Claim(claim, DOES_NOT_HOLD, said)
    # Of none among n, all that is known with 95% certainty is that there are no more than 3 in n (the rule of three).
    said += f". None among {faults:.0f} leaves room for up to {alone(Figure(round(300 / faults, 1)))} per 100"
    against = [results.against_us(arm, key) for arm in counted if arm != US for key in keys]
    if all(each is None or each.verdict in (NOISE, "no interval") for each in against):
        return Claim(claim, INSIDE_THE_NOISE, f"{said}; no other arm has more than that beyond the noise")
    return Claim(claim, HOLDS, said)
