"""A function-as-a-service platform on this machine, as far as an arm meets it: AWS Lambda's asynchronous invocations.

An event is kept until its function has ended well, by the platform, which is taken to outlive everything. Each
invocation is a fresh process: what Lambda calls a cold start, every time. A function that fails, dies or takes too long
is invoked twice more, one and two seconds later; Lambda's default is as often, after one and two minutes. What a real
platform takes to upload and to unpack a package is not in a deploy's seconds.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.arms.processes import kill_marked, launch
from benchmarks.arms.protocol import Job, Look, Place

CONCURRENCY = 100
"""Invocations at once: as many as the harness ever has items in flight. (Lambda's default is 1000, for an account.)"""
TIME_LIMIT_SECONDS = 900.0
"""Of one invocation: the most that Lambda grants."""
WAITS_SECONDS = (1.0, 2.0)
"""Before the second and the third try."""
SYSTEM_WAIT_SECONDS = 1.0
"""Before an event whose invocation was lost by the platform's own fault is tried again, which is no try of its own."""


class _Event:
    """An item's newest event, and what became of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.decisions: list[dict[str, Any]] = []
        self.asked: dict[str, Any] = {}
        self.tries = 0
        self.look = Look("running")

    def payload(self) -> bytes:
        return json.dumps({**self.job._asdict(), "decisions": self.decisions}).encode()


class Functions:
    """The platform, with one function on it."""

    def __init__(self, place: Place, module: str) -> None:
        self._place, self._module = place, module
        self._pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix=module)
        self._events: dict[str, _Event] = {}
        self._timers: set[threading.Timer] = set()
        self._power = threading.Lock()
        """Held to start a process, so that none starts while all are killed."""
        self._cuts = 0
        self._closed = False
        self._package = self._packed(1)
        self._scratch = place.folder / "scratch"
        self._scratch.mkdir()

    def submit(self, job: Job) -> None:
        """Queue the item's event."""
        event = self._events[job.id] = _Event(job)
        self._pool.submit(self._invoke, event)

    def look(self, job: Job) -> Look:
        """Say what the function's last invocation for this item came to."""
        event = self._events.get(job.id)
        return event.look if event else Look("unknown")

    def decide(self, job: Job, approve: bool) -> None:
        """Queue a new event for the item: what it was before, and this decision."""
        event = self._events[job.id]
        event.decisions.append({**event.asked, "approve": approve})
        event.tries, event.look = 0, Look("running")
        self._pool.submit(self._invoke, event)

    def deploy(self) -> dict[str, float]:
        """Publish a new version: invocations from now on run it, and those that are under way go on with theirs."""
        began = time.perf_counter()
        package = self._packed(int(self._package.name) + 1)
        packed = time.perf_counter()
        self._package = package
        return {"package": packed - began, "publish": time.perf_counter() - packed}

    def restart(self) -> dict[str, float]:
        """Cut the power of all invocations. Their events go back to the queue, as after a fault of the platform's."""
        began = time.perf_counter()
        with self._power:
            self._cuts += 1
            kill_marked(self._place.mark)
        return {"kill": time.perf_counter() - began}

    def store_outage(self, seconds: float) -> None:
        """Do nothing: there is no store."""

    def close(self) -> None:
        """End everything."""
        with self._power:
            self._closed = True
            for timer in list(self._timers):
                timer.cancel()
            kill_marked(self._place.mark)
        self._pool.shutdown(cancel_futures=True)

    def _packed(self, number: int) -> Path:
        package = self._place.folder / "packages" / str(number)
        package.mkdir(parents=True)
        shutil.copyfile(self._place.instructions, package / "instructions.txt")
        tools = httpx.get(f"{self._place.model_url.removesuffix('/v1')}/shop/tools.json", timeout=30).raise_for_status()
        (package / "tools.json").write_bytes(tools.content)
        return package

    def _invoke(self, event: _Event) -> None:
        with self._power:
            if self._closed:
                return
            cuts, process = self._cuts, self._launch()
        try:
            output, _ = process.communicate(event.payload(), timeout=TIME_LIMIT_SECONDS)
            reason = f"the function ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            reason = f"the function took longer than {TIME_LIMIT_SECONDS:g} s"
        if process.returncode == 0:
            self._succeeded(event, json.loads(output))
        elif cuts != self._cuts:
            self._later(event, SYSTEM_WAIT_SECONDS)
        elif event.tries < len(WAITS_SECONDS):
            event.tries += 1
            self._later(event, WAITS_SECONDS[event.tries - 1])
        else:
            event.look = Look("failed", reason=f"{reason}, {event.tries + 1} times")

    def _launch(self) -> subprocess.Popen[bytes]:
        return launch(
            "function",
            [self._place.python, "-m", self._module],
            self._place,
            extra={
                "MODEL_URL": self._place.model_url,
                "OPENAI_API_KEY": "any",
                "FUNCTION_PACKAGE": str(self._package),
                "TMPDIR": str(self._scratch),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _succeeded(self, event: _Event, result: dict[str, Any]) -> None:
        if "asks" in result:
            event.asked = result["asks"]
            call = f"{event.asked['tool']}({json.dumps(event.asked['arguments'], sort_keys=True)})"
            event.look = Look("waiting", asks=call)
        else:
            event.look = Look("done", answer=result["answer"])

    def _later(self, event: _Event, seconds: float) -> None:
        def due() -> None:
            self._timers.discard(timer)
            # The pool takes nothing any more once the platform is down.
            with contextlib.suppress(RuntimeError):
                self._pool.submit(self._invoke, event)

        timer = threading.Timer(seconds, due)
        with self._power:
            if not self._closed:
                self._timers.add(timer)
                timer.start()


@contextlib.contextmanager
def serve_function(place: Place, module: str) -> Generator[Functions]:
    """Bring up the platform with a function on it, which is a module to be run."""
    functions = Functions(place, module)
    try:
        yield functions
    finally:
        functions.close()
