"""The figures of the sandbox benchmark, by a case computed by hand."""

from __future__ import annotations

import pandas as pd

from benchmarks.sandbox import summary


def test_by_hand() -> None:
    measured = [("write", 5.0), ("command", 1.0), ("command", 2.0), ("command", 6.0)]
    assert summary(pd.DataFrame(measured, columns=["operation", "milliseconds"])) == [
        {"operation": "write", "count": 1, "p50": 5.0, "p95": 5.0, "max": 5.0},
        {"operation": "command", "count": 3, "p50": 2.0, "p95": 5.6, "max": 6.0},
    ]
