"""Student's t: what a figure might have been, had other rounds come, where a slow machine strikes all items of a round.

Each round has a figure of its own, and of two arms that had their turns in the same rounds, a difference of its own: so
many numbers with nothing in common, however many items are behind each. Their mean and spread give the interval (W. S.
Gosset, "The probable error of a mean", Biometrika 6, 1908; of two results without common rounds B. L. Welch,
Biometrika 34, 1947). It is as wide as so few rounds ask for: of two, twelve standard errors to either side. Where a
trial has one figure a bootstrap draws the same two or three numbers again and again, and its percentiles then call a
half or a quarter of all differences real where there are none.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmarks.scoring.resampling import Statistic, Unit, figure

LEAST_ROUNDS = 2
NEVER_IN_A_ROW = 3
"""In so many rounds something has to be never without exception to be called so: two might be chance."""
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The 97.5th percentile of Student's t by degrees of freedom, from 1; with more than ten it is hardly less."""
_NONE = (math.nan, math.nan)


def figures(units: Sequence[Unit], statistic: Statistic) -> dict[int, float]:
    """Return the figure of each round alone."""
    rounds: dict[int, list[Unit]] = {}
    for unit in sorted(units):
        rounds.setdefault(unit.round, []).append(unit)
    return {number: figure(of, statistic) for number, of in rounds.items()}


def interval(of: Sequence[float], value: float) -> tuple[float, float]:
    """Return the 95% interval of a figure, or of a difference in the same rounds.

    Args:
        of: What it is in each round.
        value: What it is over all rounds, which the interval holds: a median of all items need not be the mean of the
            rounds' medians.

    Returns:
        Its ends; NaN where there are too few rounds, or it was never in some of them alone.
    """
    if not all(map(math.isfinite, of)):
        return _never(set(of), len(of))
    return _around([of], statistics.fmean(of), value)


def interval_of_unpaired(a: Sequence[float], b: Sequence[float], value: float) -> tuple[float, float]:
    """Return the 95% interval of a less b, of which neither's rounds have to do with the other's; see `interval`."""
    if not all(map(math.isfinite, (*a, *b))):
        return _never({0.0 if of_a == of_b else of_a - of_b for of_a in a for of_b in b}, min(len(a), len(b)))
    return _around([a, b], statistics.fmean(a) - statistics.fmean(b), value)


def _never(seen: set[float], rounds: int) -> tuple[float, float]:
    end = seen.pop()
    return _NONE if seen or rounds < NEVER_IN_A_ROW else (end, end)


def _around(samples: Sequence[Sequence[float]], middle: float, value: float) -> tuple[float, float]:
    if min(map(len, samples)) < LEAST_ROUNDS:
        return _NONE
    squared = [statistics.variance(of) / len(of) for of in samples]
    half = _T[min(_freedom(samples, squared), len(_T)) - 1] * math.sqrt(sum(squared))
    return min(middle - half, value), max(middle + half, value)


def _freedom(samples: Sequence[Sequence[float]], squared: Sequence[float]) -> int:
    """Degrees of freedom, rounded down; of two samples as Welch has them."""
    weights = sum(each**2 / (len(of) - 1) for each, of in zip(squared, samples, strict=True))
    least = min(map(len, samples)) - 1
    return max(least, math.floor(sum(squared) ** 2 / weights)) if weights else least
