"""Ends what a run has started, also where the run itself is killed: no handler of its own hears of that.

It waits at the end of a pipe of the harness's. Whatever becomes of the harness, its end of the pipe is closed then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.arms.processes import kill_marked
from benchmarks.arms.protocol import MARK
from benchmarks.harness import PROJECT


@contextmanager
def guarded(mark: str) -> Generator[Path]:
    """Make a folder that goes, with every process that is started meanwhile, however this process ends.

    What is started and is no arm's, as the world or a server of S3, inherits a mark of its own, so that it is neither
    measured nor killed with the arm.

    Args:
        mark: Of the arm.
    """
    folder = Path(tempfile.mkdtemp(prefix="triptych-bench-"))
    around = f"{mark}-around"
    guard = subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder), mark, around],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # A signal to the harness's whole group, as Ctrl-C in a terminal, is not for it.
        start_new_session=True,
    )
    os.environ[MARK] = around
    try:
        yield folder
    finally:
        del os.environ[MARK]
        guard.communicate()  # which closes the pipe


def main() -> None:
    """Wait until the harness is gone or done, and end what is left: a folder, and processes of some marks."""
    folder, *marks = sys.argv[1:]
    sys.stdin.read()
    try:
        for mark in marks:
            kill_marked(mark)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
