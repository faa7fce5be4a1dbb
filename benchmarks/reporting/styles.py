"""How an arm looks in every plot: told apart by marker and line too, so that a print in black and white will do."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.arms import ARMS
from benchmarks.reporting.measured import in_order

RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.dpi": 150.0,
    "savefig.dpi": 150.0,
    "svg.hashsalt": "triptych",
}
"""All that the look of a plot depends on; the font comes with matplotlib."""


class Style(NamedTuple):
    """Of one arm."""

    color: str
    marker: str
    line: Any
    """One of matplotlib's names, or dashes in points."""
    width: float = 1.6
    size: float = 6.5
    """Of a marker, in points."""


_STYLES = (
    Style("#0072b2", "o", "-", 2.8, 10.0),
    Style("#d55e00", "^", ":"),
    Style("#000000", "D", "--"),
    Style("#56b4e9", "s", (0, (6, 2))),
    Style("#e69f00", "v", "-."),
    Style("#009e73", "P", "--"),
    Style("#cc79a7", "X", "-"),
)
"""Okabe and Ito's colours, which most eyes tell apart."""


def style_of(arm: str) -> Style:
    """Return how an arm looks; the same in every plot of every result."""
    known = in_order(ARMS)
    # An arm that this version does not know any more still has one look.
    at = known.index(arm) if arm in known else len(known) + sum(arm.encode())
    return _STYLES[at % len(_STYLES)]
