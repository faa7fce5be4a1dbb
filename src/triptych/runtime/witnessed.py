"""Counts taken from the witness file: what the model and the tools saw, whatever our own checkpoints say."""

from __future__ import annotations

from collections.abc import Iterable

from triptych.records import WitnessLine


def executed_again(lines: Iterable[WitnessLine]) -> int:
    """Count the steps that were executed again although they had been completed.

    A step that a kill cut short has not been completed; doing it anew is not counted.

    Args:
        lines: The witness's, in the order of the file.
    """
    finished: set[tuple[str, str, str]] = set()
    again = 0
    for line in lines:
        what, _, stage = line.event.partition(".")
        step = (what, line.run, line.key)
        if stage == "finished":
            finished.add(step)
        elif stage == "started" and step in finished:
            again += 1
    return again


def requests_finished(lines: Iterable[WitnessLine], flow_run_id: str) -> int:
    """Count the model requests of one flow run that were answered."""
    return sum(line.event == "request.finished" and line.run.startswith(flow_run_id) for line in lines)
