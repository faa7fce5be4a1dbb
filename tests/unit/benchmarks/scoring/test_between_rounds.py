"""Student's t over rounds: by hand, and that it finds no more differences than it may where there are none."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from benchmarks.scoring.between_rounds import figures, interval, interval_of_unpaired
from benchmarks.scoring.resampling import Numbers, Unit, figure, quantile

MEDIAN = quantile(0.5)
NULLS = 1000
"""Comparisons of two arms that are the same. Of so many a share of 5% comes out between 3.6% and 6.4%."""
AT_MOST = 0.08


def test_a_round_has_a_figure_of_its_own() -> None:
    units = [Unit("kills", at, f"i{item}", 10.0 * at + item) for at in (1, 0) for item in (3, 1, 2)]
    assert figures(units, MEDIAN) == {0: 2.0, 1: 12.0}


def test_by_hand() -> None:
    # Mean 3 and a standard deviation of 1 in three rounds: 4.303 / sqrt(3) to either side.
    assert interval([2.0, 3.0, 4.0], 3.0) == pytest.approx((3 - 2.4843, 3 + 2.4843), abs=1e-4)
    assert interval([2.0, 4.0], 3.0) == pytest.approx((3 - 12.706, 3 + 12.706), abs=1e-3)
    assert interval([5.0, 5.0], 5.0) == (5.0, 5.0)
    # With more than ten degrees of freedom it is that of ten.
    many = [float(at % 2) for at in range(40)]
    assert interval(many, 0.5)[1] == pytest.approx(0.5 + 2.228 * statistics.stdev(many) / math.sqrt(40))


def test_it_holds_the_figure_of_all_rounds_together() -> None:
    assert interval([0.0, 0.0, 0.0], 1.0) == (0.0, 1.0)
    assert interval([0.0, 0.0, 0.0], -1.0) == (-1.0, 0.0)


def test_of_two_results_by_hand() -> None:
    # Variances of 1 / 3 each: four degrees of freedom.
    half = 2.776 * math.sqrt(2 / 3)
    assert interval_of_unpaired([2, 3, 4], [7, 8, 9], -5.0) == pytest.approx((-5 - half, -5 + half))
    # All of the spread is one's: its own two.
    half = 4.303 * math.sqrt(1 / 3)
    assert interval_of_unpaired([2, 3, 4], [8, 8, 8], -5.0) == pytest.approx((-5 - half, -5 + half))
    assert interval_of_unpaired([3, 3], [8, 8], -5.0) == (-5.0, -5.0)


@pytest.mark.parametrize(
    "of", [[3.0], [math.inf], [math.inf, math.inf], [1.0, 2.0, math.inf], [-math.inf, math.inf, 0]]
)
def test_of_one_round_or_where_it_is_never_by_chance_nothing_is_known(of: list[float]) -> None:
    assert all(map(math.isnan, interval(of, of[0])))


def test_what_is_never_in_every_round_is_never() -> None:
    assert interval([math.inf] * 3, math.inf) == (math.inf, math.inf)
    never, some = [math.inf] * 3, [1.0, 2.0, 3.0]
    assert interval_of_unpaired(never, some, math.inf) == (math.inf, math.inf)
    assert interval_of_unpaired(some, never, -math.inf) == (-math.inf, -math.inf)
    assert interval_of_unpaired(never, never, 0.0) == (0.0, 0.0)
    assert all(map(math.isnan, interval_of_unpaired(never[1:], some, math.inf)))
    assert all(map(math.isnan, interval_of_unpaired([1.0, *never], some, math.inf)))


def units(values: Numbers) -> list[Unit]:
    """A row a round, a column an item."""
    return [Unit("none", at, f"i{item}", float(each)) for (at, item), each in np.ndenumerate(values)]


def drawn(chance: np.random.Generator, drift: Numbers, items: int) -> list[Unit]:
    """One arm on a machine that drifts from round to round, for both arms and within each for one of them."""
    own = drift + chance.normal(0, 0.5, (len(drift), 1))
    return units(own + (chance.lognormal(0, 0.8, (len(drift), items)) if items > 1 else 0.0))


@pytest.mark.parametrize("items", [1, 8], ids=["of a trial", "of items"])
@pytest.mark.parametrize("rounds", [2, 3, 5])
@pytest.mark.parametrize("is_paired", [True, False], ids=["same rounds", "two results"])
def test_where_nothing_differs_about_one_in_twenty_comes_out_as_different(
    rounds: int, items: int, is_paired: bool
) -> None:
    chance = np.random.default_rng([rounds, items])
    found = 0
    for _ in range(NULLS):
        drift = chance.normal(0, 1.5, (2, rounds, 1))
        a, b = drawn(chance, drift[0], items), drawn(chance, drift[0 if is_paired else 1], items)
        of_a, of_b = figures(a, MEDIAN), figures(b, MEDIAN)
        value = figure(a, MEDIAN) - figure(b, MEDIAN)
        if is_paired:
            low, high = interval([of_a[at] - of_b[at] for at in of_a], value)
        else:
            low, high = interval_of_unpaired([*of_a.values()], [*of_b.values()], value)
        found += not low <= 0 <= high
    assert found / NULLS <= AT_MOST
    # Nor is it wider than it need be, but of two results, whose degrees of freedom are rounded down.
    assert found / NULLS >= 0.03 or not is_paired
