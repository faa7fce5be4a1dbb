"""The outside witness: an append-only file that says what really happened, whatever the checkpoints say.

The scripted model writes a line when a request starts and when it is finished, the tools when they are called and
when an effect is applied. Tests, the demo and the benchmark count from this file, so that a step done twice is seen
even where the run's own books look right.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from triptych.records import WitnessLine

WitnessEvent: TypeAlias = Literal[
    "request.started", "request.finished", "tool.started", "tool.finished", "effect.applied"
]
"""What a line can say; the same words as `WitnessLine.event`."""


class Witness:
    """Appends lines to one file. Any number of processes may write to the same path."""

    def __init__(self, path: Path | str) -> None:
        """Remember the path; nothing is opened or created before the first line.

        Args:
            path: The file. It and its folder are created with the first line.
        """
        self.path = Path(path)

    def __repr__(self) -> str:
        """Show which file it is."""
        return f"Witness({str(self.path)!r})"

    def write(self, *, event: WitnessEvent, run: str, name: str, key: str) -> None:
        """Append one line.

        Args:
            event: What happened.
            run: The conversation it belongs to.
            name: The model's or the tool's name.
            key: Which one; see `WitnessLine.key`.

        Raises:
            OSError: The file cannot be written. The operator sees it: a witness that misses lines is worse than none.
        """
        line = WitnessLine(at=datetime.now(UTC), pid=os.getpid(), event=event, run=run, name=name, key=key)
        data = line.model_dump_json().encode() + b"\n"
        # One write on an O_APPEND descriptor: the kernel places it at the end as a whole, so lines of several
        # processes never mix, and once the call returns the line outlives a SIGKILL of this process. The
        # descriptor is not kept, so a fork or a moved file cannot write elsewhere.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags, 0o644)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, flags, 0o644)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(f"the witness {self.path} took {written} of {len(data)} bytes: is the disk full?")


def read(path: Path | str) -> list[WitnessLine]:
    """All lines so far, in the order they were written; none when the file does not exist yet.

    Args:
        path: The witness file.

    Returns:
        One `WitnessLine` a line.

    Raises:
        ValueError: A line is not a `WitnessLine`: something else wrote to the file.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    # Not `splitlines`, which also splits at characters that JSON leaves as they are.
    return [WitnessLine.model_validate_json(line) for line in data.split(b"\n") if line]
