"""The bootstrap: what a count of items might have been, had other rounds and other items come.

Rounds are the clusters. Each sample draws as many rounds as there are, with replacement, and within each of them as
many items, with replacement; under several plans each plan's rounds are drawn for themselves. So what strikes a whole
trial, as the crash of a server that all items share does, widens the interval as it should. With one round alone the
interval knows of items and nothing of how rounds differ; with one unit alone there is none. It is for what counts
items: of a figure that a trial has one of, a few rounds' percentiles are far too narrow, and `between_rounds` is for
those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]
INTERVAL = (0.025, 0.975)


class Unit(NamedTuple):
    """What is drawn: one item, trial or deploy, with what it adds to a measure."""

    plan: str
    round: int
    name: str
    """The item's id; empty for what is about a trial."""
    part: float
    """Of a rate: what is counted. Else the value."""
    of: float = 1.0
    """Of a rate: of how many."""


Statistic: TypeAlias = Callable[[Numbers, Numbers], Numbers]
"""How units become one figure: of parts and ofs, each a row a sample and NaN where a sample is shorter, a figure a
sample."""


def rate(scale: float = 1.0) -> Statistic:
    """Return the statistic `scale` times the sum of parts over the sum of ofs; NaN of nothing."""

    def of_samples(part: Numbers, of: Numbers) -> Numbers:
        total = np.nansum(of, axis=1)
        return scale * np.nansum(part, axis=1) / np.where(total == 0, np.nan, total)

    return of_samples


def quantile(share: float) -> Statistic:
    """Return the statistic below which so large a share of the parts lies, between two of them by a straight line."""

    def of_samples(part: Numbers, of: Numbers) -> Numbers:
        return quantile_of_rows(part, share)

    return of_samples


def quantile_of_rows(values: Numbers, share: float) -> Numbers:
    """Return a quantile of each row. NaN is not there, and what is infinite lies beyond every number."""
    ordered = np.sort(values, axis=1)
    count = np.sum(~np.isnan(ordered), axis=1)
    at = share * np.maximum(count - 1, 0)
    below, rows = np.floor(at).astype(int), np.arange(len(ordered))
    low = ordered[rows, below]
    high = ordered[rows, np.minimum(below + 1, np.maximum(count - 1, 0))]
    weight = at - below
    with np.errstate(invalid="ignore"):  # between two of which one is infinite there is no way: it is the infinite one
        between = np.where((weight == 0) | (low == high) | np.isneginf(low), low, low + (high - low) * weight)
    return np.where(np.isneginf(low) & np.isposinf(high) & (weight >= 0.5), high, between)


def figure(units: Sequence[Unit], statistic: Statistic) -> float:
    """Return the figure of all units as they are."""
    table = np.array([[unit.part, unit.of] for unit in units], dtype=np.float64)
    return float(statistic(table[None, :, 0], table[None, :, 1])[0])


def samples(
    units: Sequence[Unit],
    statistic: Statistic,
    *,
    count: int,
    rounds: np.random.Generator,
    items: np.random.Generator,
) -> Numbers:
    """Return what the figure was in each sample.

    Args:
        units: At least one; their order does not matter.
        statistic: How they become a figure.
        count: How many samples.
        rounds: Draws the rounds. Two arms that have the same rounds, with two generators of the same seed, draw the
            same ones: their difference is then one of rounds.
        items: Draws the units of a round.
    """
    clusters: dict[tuple[str, int], list[Unit]] = {}
    for unit in sorted(units):
        clusters.setdefault((unit.plan, unit.round), []).append(unit)
    sizes = np.array([len(of) for of in clusters.values()])
    table = np.full((len(clusters), int(sizes.max()), 2), np.nan)
    for at, of in enumerate(clusters.values()):
        table[at, : len(of)] = [[unit.part, unit.of] for unit in of]
    drawn: list[Numbers] = []
    for plan in dict.fromkeys(plan for plan, _ in clusters):
        of_plan = np.array([at for at, (name, _) in enumerate(clusters) if name == plan])
        for which in rounds.integers(len(of_plan), size=(len(of_plan), count)):
            cluster = of_plan[which]
            shares = items.random((count, table.shape[1]))
            chosen = table[cluster[:, None], (shares * sizes[cluster][:, None]).astype(int)]
            chosen[np.arange(table.shape[1])[None, :] >= sizes[cluster][:, None]] = np.nan
            drawn.append(chosen)
    all_drawn = np.concatenate(drawn, axis=1)
    return statistic(all_drawn[:, :, 0], all_drawn[:, :, 1])


def interval(of_samples: Numbers) -> tuple[float, float]:
    """Return the 95% interval of the samples that have a figure; NaN where none has."""
    low, high = (float(quantile_of_rows(of_samples[None, :], share)[0]) for share in INTERVAL)
    return low, high
