"""The bootstrap, where its answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.resampling import (
    Numbers,
    Statistic,
    Unit,
    figure,
    interval,
    quantile,
    quantile_of_rows,
    rate,
    samples,
)


def units(*rounds: Sequence[float], plan: str = "kills") -> list[Unit]:
    return [Unit(plan, number, f"i{at}", value) for number, of in enumerate(rounds) for at, value in enumerate(of)]


def drawn(of: list[Unit], statistic: Statistic, *, seed: int = 0, count: int = 2000) -> Numbers:
    rng = np.random.default_rng
    return samples(of, statistic, count=count, rounds=rng([seed, 1]), items=rng([seed, 2]))


def test_quantiles_by_hand() -> None:
    rows = np.array([[4.0, 1.0, 3.0, 2.0], [2.0, np.nan, 4.0, np.nan], [1.0, np.inf, np.inf, 1.0], [np.nan] * 4])
    assert quantile_of_rows(rows, 0.5).tolist()[:3] == [2.5, 3.0, math.inf]
    assert math.isnan(quantile_of_rows(rows, 0.5)[3])
    assert quantile_of_rows(rows, 1.0).tolist()[:3] == [4.0, 4.0, math.inf]
    assert quantile_of_rows(np.array([[np.inf, 1.0, 2.0]]), 0.5).tolist() == [2.0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values: list[float], share: float) -> None:
    ours = float(quantile_of_rows(np.array([values]), share)[0])
    assert ours == pytest.approx(float(np.quantile(values, share)), abs=1e-6)


def test_a_rate_weighs_units_by_what_they_are_of() -> None:
    of = [Unit("kills", 0, "i1", 1.0, 1.0), Unit("kills", 0, "i2", 0.0, 3.0)]
    assert figure(of, rate(100)) == 25.0
    assert math.isnan(figure([Unit("kills", 0, "i1", 0.0, 0.0)], rate(100)))


def test_a_seed_has_its_interval() -> None:
    of = units([0, 1, 1], [1, 1, 0], [0, 0, 0])
    assert drawn(of, rate()).tolist() == drawn(of[::-1], rate()).tolist()
    assert drawn(of, rate()).tolist() != drawn(of, rate(), seed=1).tolist()


def test_the_interval_is_about_as_wide_as_theory_says() -> None:
    # One round of 100 items, half of them 1: the standard error is 0.05.
    low, high = interval(drawn(units([0, 1] * 50), rate()))
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.02)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.02)


def test_what_strikes_whole_rounds_widens_the_interval() -> None:
    # The same 40 items: once each round is half and half, once whole rounds are one or the other.
    alike = interval(drawn(units(*[[0, 1] * 5] * 4), rate()))
    apart = interval(drawn(units([0] * 10, [1] * 10, [0] * 10, [1] * 10), rate()))
    assert apart[1] - apart[0] > 1.5 * (alike[1] - alike[0])
    # Each of four draws is one of two kinds of rounds: two of each in 6 of 16 samples.
    of = drawn(units([0] * 10, [1] * 10, [0] * 10, [1] * 10), rate())
    assert set(of.tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert of.tolist().count(0.5) / len(of) == pytest.approx(6 / 16, abs=0.04)


def test_each_plan_keeps_its_share() -> None:
    # All that varies is between the plans, which are not drawn: there is no noise.
    of = [*units([0, 0], [0, 0], plan="kills"), *units([1, 1], [1, 1], plan="deploy")]
    assert interval(drawn(of, rate())) == (0.5, 0.5)


def test_rounds_of_different_sizes_are_drawn_whole() -> None:
    assert set(drawn(units([1, 1, 1], [1]), quantile(0.5)).tolist()) == {1.0}
    # Two draws of a round of three and one of a single item: none, both, or one of each, which is three of four.
    assert set(drawn(units([1, 1, 1], [0]), rate()).tolist()) == {0.0, 0.75, 1.0}


def test_samples_without_a_figure_are_not_in_the_interval() -> None:
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert all(math.isnan(end) for end in interval(np.array([np.nan])))


def test_between_what_is_infinite_and_anything_else_lies_the_infinite() -> None:
    rows = np.array([[-np.inf, 1.0], [1.0, np.inf], [-np.inf, np.inf], [-np.inf, -np.inf]])
    assert quantile_of_rows(rows, 0.25).tolist() == [-np.inf, np.inf, -np.inf, -np.inf]
    assert quantile_of_rows(rows, 0.75).tolist() == [-np.inf, np.inf, np.inf, -np.inf]


@pytest.mark.parametrize("rounds", [2, 3, 5])
def test_counts_of_items_that_do_not_differ_come_out_as_different_no_more_often_than_they_may(rounds: int) -> None:
    """Four of five items of each round are done, and in some rounds more of them than in others: of either arm."""
    chance = np.random.default_rng(rounds)
    found = 0
    for _ in range(300):
        done = [chance.random((rounds, 8)) < chance.beta(0.8 * 19, 0.2 * 19, (rounds, 1)) for _ in "ab"]
        a, b = [units(*each.astype(float).tolist()) for each in done]
        low, high = interval(
            samples(a, rate(), count=300, rounds=np.random.default_rng(1), items=np.random.default_rng(2))
            - samples(b, rate(), count=300, rounds=np.random.default_rng(1), items=np.random.default_rng(3))
        )
        found += not low <= 0 <= high
    # With two rounds somewhat more often than one in twenty, as the README says.
    assert found / 300 <= (0.09 if rounds == 2 else 0.07)
