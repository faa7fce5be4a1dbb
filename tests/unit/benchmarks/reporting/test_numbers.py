"""How figures are written."""

from __future__ import annotations

import math

import pytest

from benchmarks.reporting.numbers import Figure, alone, with_interval


@pytest.mark.parametrize(
    ("figure", "written"),
    [
        (Figure(194.7, 190.2, 201.4), "195 (190 to 201)"),
        (Figure(12345.6, 10000.0, 15000.0), "12,300 (10,000 to 15,000)"),
        (Figure(0.11236, 0.1068, 0.1153), "0.1124 (0.1068 to 0.1153)"),
        (Figure(-3.26, -5.0, -1.0), "-3.3 (-5.0 to -1.0)"),
        (Figure(99.9, 98.0, 100.0), "99.9 (98.0 to 100.0)"),
        (Figure(100.0, 100.0, 100.0), "100 (100 to 100)"),
        (Figure(0.0, 0.0, 0.0), "0 (0 to 0)"),
        (Figure(-0.01, -1.0, 1.0), "0.0 (-1.0 to 1.0)"),
        (Figure(30.4, 0.0, 1500.0), "30 (0 to 1,500)"),
        (Figure(4.0, 3.0, math.inf), "4 (3 to never)"),
        (Figure(math.inf, math.inf, math.inf), "never"),
        (Figure(1.23456), "1.23 (no interval)"),
        (Figure(0.00123456), "0.00123 (no interval)"),
        (Figure(None), "not measured"),
    ],
)
def test_with_its_interval_and_no_finer_than_that_allows(figure: Figure, written: str) -> None:
    assert with_interval(figure) == written


def test_what_is_not_measured_is_never_zero() -> None:
    assert alone(Figure(None)) == "not measured"
    assert alone(Figure(0.0)) == "0"
    assert alone(Figure(math.inf)) == "never"
    assert alone(Figure(194.7, 190.2, 201.4)) == "195"
