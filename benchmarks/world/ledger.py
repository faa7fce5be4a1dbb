"""Writes the ledger: one JSON line for each thing the world saw."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.contract import LedgerLine


class Ledger:
    """The ledger of one trial. Its file grows by whole lines, so it can be read meanwhile."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file.

        Raises:
            FileExistsError: there is one of this name: two trials would run into each other.
        """
        path.open("xb").close()
        self._path = path

    def write(self, **of: Any) -> None:
        """Add a line about what happens now; see `LedgerLine` for its fields."""
        line = LedgerLine(at=time.time(), **of)
        # The file is opened for each line: a call of an earlier job may still write long after the next has begun.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            # What says nothing is left out.
            os.write(file, line.model_dump_json(exclude_defaults=True).encode() + b"\n")
        finally:
            os.close(file)
