"""The server's garbage, against the interpreter's own collector: where it is freed, and that it is."""

import subprocess
import sys

SCRIPT = """
import gc, sys, threading, time
from triptych.runtime.prefect_server import collect_aside

freed_on = set()

class Cycle:
    def __init__(self):
        self.itself = self

    def __del__(self):
        freed_on.add(threading.current_thread().name)

if sys.argv[1] == "aside":
    collect_aside(lambda seconds: time.sleep(0.01))
deadline = time.monotonic() + 30
while not freed_on and time.monotonic() < deadline:
    [Cycle() for _ in range(5000)]
    time.sleep(0.001)
print(*freed_on)
"""


def freed_on(how: str) -> str:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_garbage_is_freed_on_a_thread_of_its_own() -> None:
    assert freed_on("aside") == "garbage"


def test_the_interpreter_frees_it_on_whatever_thread_makes_more() -> None:
    assert freed_on("as usual") == "MainThread"
