"""How numbers are said."""

from __future__ import annotations

import math

from triptych.advice.measures import Figure

_UNITS = {"USD": ("$", ""), "%": ("", "%")}


def told(figure: Figure) -> str:
    """Return a figure's value, with its unit and interval, such as `99.8% (99.0 to 100.0)`."""
    before, after = _UNITS.get(figure.unit, ("", f" {figure.unit}"))
    value = _number(figure.value, figure.unit)
    said = value if math.isinf(figure.value) else f"{before}{value}{after}"
    if figure.low is None or figure.high is None:
        return said
    return f"{said} ({_number(figure.low, figure.unit)} to {_number(figure.high, figure.unit)})"


def _number(value: float, unit: str) -> str:
    if math.isinf(value):
        return "never"
    return {"USD": f"{value:,.2f}", "%": f"{value:,.1f}"}.get(unit) or plain(value)


def plain(value: float) -> str:
    """Return a number with three digits or more, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
