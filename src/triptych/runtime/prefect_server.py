"""Prefect's server, kept from standing still on SQLite: `python -m triptych.runtime.prefect_server start ...`.

See ADR 11: a cursor that the garbage collector frees on the server's own thread waits for whatever its connection is
doing, which may be waiting for a lock that only the server's own thread can release. It then stands still for the 60 s
that Prefect lets a statement wait for a lock, answers nobody, and then answers 503.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable

from triptych.runtime.asking_again import ask_again

YOUNG_SECONDS = 1.0
"""How often what has not lived long is looked through. Milliseconds."""
ALL_EVERY = 60
"""All is looked through every so many times of these: some 0.2 s of a server's time."""


def collect_aside(pause: Callable[[float], None] = time.sleep) -> threading.Thread:
    """Free garbage on a thread of its own from now on, and on no other.

    Args:
        pause: Waits between two times.

    Returns:
        The thread; it ends with the process.
    """
    gc.disable()

    def collect() -> None:
        times = 0
        while True:
            pause(YOUNG_SECONDS)
            times += 1
            gc.collect(2 if times % ALL_EVERY == 0 else 1)

    thread = threading.Thread(target=collect, name="garbage", daemon=True)
    thread.start()
    return thread


def main() -> None:
    """Run `prefect server` with this process's arguments."""
    from prefect.cli import app

    ask_again()
    collect_aside()
    sys.argv[1:] = ["server", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
