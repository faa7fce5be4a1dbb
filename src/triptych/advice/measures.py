"""What a benchmark of architectures measured, as its `measures.csv` says it: read here, never made up."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from triptych.errors import ConfigurationError

COLUMNS = ("arm", "workload", "plan", "measure", "unit", "value", "low", "high", "n")
"""Those that it must have; `of` is read where it is there."""
_TIMES = ("ms", "s", "minutes")
"""Units of what may never come, which is infinite."""
_DIFFERENCES = ("ms", "bytes")
"""Units of what may be below 0, as something else was taken from it."""
_TOO_MUCH = 1e15
_ROUNDING = 1e-9


class Figure(BaseModel):
    """One measured value."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    arm: str
    workload: str
    plan: str
    """The fault plan under which it was measured; `none`: no fault."""
    measure: str
    unit: str
    value: float
    """Infinite: it never came."""
    low: float | None
    high: float | None
    """The bounds of its interval; None where there is none."""
    n: int
    """Runs, trials or deploys that it is computed from."""
    of: float | None = None
    """Of a rate: of how many, such as faults or runs."""

    def is_apart_from(self, other: Figure) -> bool:
        """Whether the intervals do not touch. Where one has none, nothing can be said."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.high < other.low or other.high < self.low


class Measures(NamedTuple):
    """A benchmark's result."""

    source: str
    """Where it is from, as a person would find it."""
    figures: tuple[Figure, ...]

    def find(self, measure: str, arm: str, workloads: Sequence[str], plans: Sequence[str]) -> Figure | None:
        """Return the figure of the first workload, and in it of the first plan, under which it was measured.

        None where it was measured under none of them.
        """
        for workload in workloads:
            for plan in plans:
                for each in self.figures:
                    if (each.measure, each.arm, each.workload, each.plan) == (measure, arm, workload, plan):
                        return each
        return None


def parse_measures(content: str, source: str) -> Measures:
    """Return what a `measures.csv` says. A row without a value says that nothing was measured, and is left out.

    Args:
        content: CSV with at least the columns `COLUMNS`.
        source: Where it is from.

    Raises:
        ConfigurationError: it is not such a file; names the line and the column.
    """
    rows = csv.DictReader(io.StringIO(content))
    figures: list[Figure] = []
    lines: dict[tuple[str, ...], int] = {}
    try:
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise ConfigurationError(
                f"{source}:1: it has no column {', '.join(missing)}; mend: name the measures.csv of a benchmark result"
            )
        for row in rows:
            where = f"{source}:{rows.line_num}"
            unit = row["unit"] or ""
            value = _measured(row["value"], "value", unit, where)
            if value is None:
                continue
            low, high = (_measured(row[column], column, unit, where) for column in ("low", "high"))
            if low is not None and high is not None and low > high + _ROUNDING * abs(high):
                raise ConfigurationError(f"{where}: low: {low:g} is above high, {high:g}; mend: measure again")
            figure = Figure(
                arm=row["arm"] or "",
                workload=row["workload"] or "",
                plan=row["plan"] or "",
                measure=row["measure"] or "",
                unit=unit,
                value=value,
                low=low,
                high=high,
                n=_runs(row["n"], where),
                of=_of(row.get("of"), where),
            )
            what = (figure.arm, figure.workload, figure.plan, figure.measure)
            if what in lines:
                raise ConfigurationError(
                    f"{where}: measure: {', '.join(what)} stands here twice, first in line {lines[what]}; "
                    "mend: remove one of them, or measure again"
                )
            lines[what] = rows.line_num
            figures.append(figure)
    except csv.Error as error:
        raise ConfigurationError(f"{source}:{rows.reader.line_num}: not CSV: {error}; mend: measure again") from error
    return Measures(source, tuple(figures))


def _runs(text: str | None, where: str) -> int:
    number = _number(text, "n", where)
    if number is None or number < 1 or not number.is_integer():
        raise ConfigurationError(f"{where}: n: {text!r} is no count; mend: measure again")
    return int(number)


def _of(text: str | None, where: str) -> float | None:
    number = _number(text, "of", where)
    if number is not None and not 0 < number <= _TOO_MUCH:
        raise ConfigurationError(f"{where}: of: {text!r} is no number of runs or faults; mend: measure again")
    return number


def _measured(text: str | None, column: str, unit: str, where: str) -> float | None:
    """Return a number that can be a figure of this unit."""
    number = _number(text, column, where)
    if number is None or (number == math.inf and unit in _TIMES):
        return number
    least = -_TOO_MUCH if unit in _DIFFERENCES else 0.0
    most = 100 * (1 + _ROUNDING) if unit == "%" else _TOO_MUCH
    if not least <= number <= most:
        raise ConfigurationError(f"{where}: {column}: {text!r} cannot be in {unit or 'it'}; mend: measure again")
    return number


def _number(text: str | None, column: str, where: str) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError as error:
        raise ConfigurationError(f"{where}: {column}: {text!r} is no number; mend: measure again") from error
    return None if math.isnan(number) else number
