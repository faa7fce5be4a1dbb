"""Counting from the witness: a step is executed again when it begins after it was finished."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from triptych.records import WitnessLine
from triptych.runtime.witnessed import executed_again


def line(event: str, key: str, run: str = "r", pid: int = 1) -> WitnessLine:
    return WitnessLine.model_validate(
        {"at": datetime.now(UTC), "pid": pid, "event": event, "run": run, "name": "n", "key": key}
    )


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([], 0),
        ([line("request.started", "1"), line("request.finished", "1")], 0),
        # Cut short by a kill, then done: once.
        ([line("request.started", "1"), line("request.started", "1", pid=2), line("request.finished", "1")], 0),
        ([line("request.started", "1"), line("request.finished", "1"), line("request.started", "1", pid=2)], 1),
        ([line("tool.started", "c"), line("tool.finished", "c"), line("tool.started", "c")], 1),
        # Another run's step of the same name is another step.
        ([line("tool.started", "c"), line("tool.finished", "c"), line("tool.started", "c", run="s")], 0),
        # A tool call and a request of the same key are two steps.
        ([line("tool.started", "c"), line("tool.finished", "c"), line("request.started", "c")], 0),
    ],
)
def test_executed_again(lines: list[WitnessLine], count: int) -> None:
    assert executed_again(lines) == count
