"""How figures are written: with their interval, and no finer than it allows."""

from __future__ import annotations

import math
from typing import NamedTuple

NOT_MEASURED = "not measured"
NEVER = "never"
NO_INTERVAL = "no interval"


class Figure(NamedTuple):
    """A measured figure with its 95 % interval."""

    value: float | None
    """None: not measured. Infinite: what was waited for never came."""
    low: float | None = None
    high: float | None = None
    """None: there was too little to have one."""


def with_interval(figure: Figure) -> str:
    """Write a figure, such as `195 (190 to 201)`; without an interval it says so."""
    if figure.value is None:
        return NOT_MEASURED
    if figure.low is None or figure.high is None:
        return f"{alone(figure)} ({NO_INTERVAL})"
    places = _places(figure)
    if figure.low == figure.value == figure.high == math.inf:
        return NEVER
    low, high = (_rounded(each, places) for each in (figure.low, figure.high))
    return f"{_told(figure)} ({low} to {high})"


def alone(figure: Figure) -> str:
    """Write a figure without its interval, and as fine as that allows."""
    if figure.value is None:
        return NOT_MEASURED
    return _told(figure)


def _told(figure: Figure) -> str:
    """Write the value of a figure. What lies on one side of zero is not written as zero, however wide its interval."""
    value, places = figure.value, _places(figure)
    assert value is not None
    is_one_sided = figure.low is not None and figure.high is not None and (figure.low >= 0 or figure.high <= 0)
    if is_one_sided and value != 0 and math.isfinite(value) and round(value, places) == 0:
        places = 1 - math.floor(math.log10(abs(value)))
    return _rounded(value, places)


def _places(figure: Figure) -> int:
    """Decimal places that leave the interval's width two digits, or the value three where there is no width."""
    assert figure.value is not None
    width = 0.0
    if figure.low is not None and figure.high is not None:
        width = figure.high - figure.low
    if width > 0 and math.isfinite(width):
        return 1 - math.floor(math.log10(width))
    if figure.value == 0 or not math.isfinite(figure.value) or float(figure.value).is_integer():
        return 0
    return max(0, 2 - math.floor(math.log10(abs(figure.value))))


def _rounded(value: float, places: int) -> str:
    if math.isinf(value):
        return NEVER
    # Minus zero is written as zero.
    return f"{round(value, places) + 0.0:,.{max(0, places)}f}"
