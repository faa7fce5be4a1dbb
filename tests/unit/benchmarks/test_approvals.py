"""The figures of the approvals benchmark, by a case computed by hand."""

from __future__ import annotations

import pandas as pd

from benchmarks.approvals import COLUMNS, summary


def test_by_hand() -> None:
    rows = [
        ("suspended", "alone", "a", 9.0, 12.0),
        ("suspended", "together", "b", 10.0, 13.0),
        ("suspended", "together", "c", 14.0, 19.0),
        ("held", "together", "d", 0.0, 1.0),
    ]
    result = summary(pd.DataFrame(rows, columns=list(COLUMNS)))
    assert [(row["wait"], row["answered"], row["runs"]) for row in result] == [
        ("suspended", "alone", 1),
        ("suspended", "together", 2),
        ("held", "together", 1),
    ]
    assert result[1]["to_running_seconds"] == {"min": 10.0, "median": 12.0, "max": 14.0}
    assert result[1]["to_tool_seconds"] == {"min": 13.0, "median": 16.0, "max": 19.0}
