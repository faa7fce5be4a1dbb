"""Starts processes that have their imports behind them: each execution costs a second instead of six.

The parent imports, and starts no thread and opens no connection. For each line of JSON on its standard input it forks a
child that runs `prefect.engine` as a worker's process does, waits for it, and answers with the child's exit status.
Two zygotes differ in their hash seed, so that what one execution records another one reads under a different seed.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.components.locate import CHECKOUT
from tests.components.processes import stop_tree

_IMPORTED = (
    "genai_prices.data",
    "pydantic_ai_harness.coder",
    "prefect.deployments.steps.pull",
    "prefect.flow_engine",
    "prefect.runner",
    "prefect.task_engine",
    "requests",
    "s3fs",
    "sqlalchemy.dialects.sqlite",
    "tests.resume.kill_switch",
    "triptych.runtime.durability",
    "triptych.runtime.workspace_files",
)


class Zygote:
    """The handle of one, in the process that uses it. Children run one after the other."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.resume.zygote"],
                cwd=CHECKOUT,
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        self._log = log
        self._one_at_a_time = threading.Lock()

    def run(self, env: Mapping[str, str], log: Path, *, timeout_seconds: float) -> int:
        """Run the engine in a child with `env` added to the environment; return its exit status, as `Popen` does.

        A child that does not end in time is ended with its zygote, and counts as a failure.
        """
        with self._one_at_a_time:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"env": dict(env), "log": str(log)}).encode() + b"\n")
            self._process.stdin.flush()
            give_up = threading.Timer(timeout_seconds, stop_tree, [self._process], {"grace_seconds": 0})
            give_up.start()
            try:
                answer = self._process.stdout.readline()
            finally:
                give_up.cancel()
        if not answer:
            raise AssertionError(f"no answer from the zygote; its log: {self._log.read_text(errors='replace')[-3000:]}")
        return int(answer)

    def stop(self) -> None:
        stop_tree(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def main() -> None:
    # What an execution imports; the flow's own module is loaded by the engine, in the child.
    for name in _IMPORTED:
        importlib.import_module(name)
    from prefect.plugins import load_prefect_collections

    load_prefect_collections()
    for line in sys.stdin.buffer:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            _become_the_engine(told["env"], told["log"])
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become_the_engine(env: Mapping[str, str], log: str) -> None:
    os.environ.update(env)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    random.seed()
    sys.modules.pop("prefect.engine", None)
    sys.argv = ["prefect.engine"]
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
