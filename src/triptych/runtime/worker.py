"""The worker of this machine's own processes: `python -m triptych.runtime.worker start --pool triptych`.

It is Prefect's, but for how a run's process comes to be: forked of a zygote (`triptych.runtime.zygote`), which has its
imports behind it, where Prefect starts two processes one after the other that each import anew. See ADR 15. What a
zygote cannot do is started as Prefect does.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from typing import Any

import anyio
import anyio.abc
from prefect.settings import get_current_settings

from triptych.runtime.zygote import MOST_BYTES, PLACE_OF_RUN_ID, RUN_ID, SUPERVISOR, Order, installed

FORK_SECONDS = 60.0
"""How long a zygote may take to fork, its own imports included. One that takes longer is ended."""
FUTILE_STARTS = 3
"""How often in a row one is started that forks nothing; from then on runs are started as Prefect does."""
STARTER = "prefect.runner._starter_engine"
"""Whose `run_process` starts a run's process."""
_LOGGER = logging.getLogger("prefect.triptych.worker")


class Forked:
    """A process that a zygote forked.

    Attributes:
        pid: Its process id.
        returncode: None while it runs; then as `subprocess.Popen` has it, or 1 where the zygote ended first and took
            the knowledge with it.
    """

    def __init__(self, pid: int, told: _Lines) -> None:
        """Wait for what is told of it."""
        self.pid = pid
        self.returncode: int | None = None
        self._told = told
        self._descriptor: int | None = None
        # If it is gone already, its end is told, or its zygote is gone as well.
        with contextlib.suppress(ProcessLookupError):
            self._descriptor = os.pidfd_open(pid)

    async def wait(self) -> int:
        """Wait for its end; if that is given up, end it."""
        try:
            return await self._end()
        except BaseException:
            if self._descriptor is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await self._end()
            raise

    async def _end(self) -> int:
        if self.returncode is not None:
            return self.returncode
        line = await self._told.next()
        if line is None and self._descriptor is not None:
            # The zygote is gone, and cannot tell; the process may well be there.
            await anyio.wait_readable(self._descriptor)
        self.returncode = 1 if line is None else int(line)
        self._told.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        return self.returncode


class _Lines:
    """Lines that come out of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""

    async def next(self) -> bytes | None:
        """Return the next line; None at the end, which is when nobody has the other end any more."""
        while b"\n" not in self._read:
            await anyio.wait_readable(self._descriptor)
            more = os.read(self._descriptor, 4096)
            if not more:
                return None
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line

    def close(self) -> None:
        os.close(self._descriptor)


class Zygote:
    """The worker's end of one.

    It is started when it is made, and again when it is wanted and has died, or packages were installed meanwhile.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it.

        Args:
            environment: Its own. Runs with another one are none of its: modules may have read it at their import.
        """
        self._environment = _lasting(environment)
        self._futile_starts = 0
        self._retired: list[subprocess.Popen[bytes]] = []
        self._start()

    def _start(self) -> None:
        self._futile_starts += 1
        self._imported_from = installed()
        self._orders, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setblocking(False)
        with its:
            # -P: not the folder of the worker, which is the project's, on the path of what is imported.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "triptych.runtime.zygote", str(its.fileno())],
                env={**self._environment, RUN_ID: PLACE_OF_RUN_ID},
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )

    def takes(self, command: list[str], environment: Mapping[str, str]) -> bool:
        """Whether it can fork for this command of Prefect's."""
        return (
            command[:3] == [sys.executable, "-m", SUPERVISOR]
            and _lasting(environment) == self._environment
            and self._is_there()
        )

    def _is_there(self) -> bool:
        status = self._process.poll()
        if status is None and self._imported_from == installed():
            return True
        if self._futile_starts == FUTILE_STARTS:
            return False
        if status is not None:
            _LOGGER.warning("the zygote ended with status %s and is started again", status)
        # One that lives stays until the last run that it forked has ended, and tells its end.
        self._orders.close()
        self._retired = [each for each in (*self._retired, self._process) if each.poll() is None]
        self._start()
        return True

    async def fork(self, order: Order) -> Forked | None:
        """Have a process forked; None where it cannot be, and is not there either."""
        message = order.model_dump_json().encode()
        if len(message) > MOST_BYTES:
            return None
        process = self._process
        readable, status = os.pipe()
        told = _Lines(readable)
        # Where it is dying, or has more orders than it can take, nobody has the other end, and nothing is told.
        with contextlib.suppress(OSError):
            socket.send_fds(self._orders, [message], [status])
        os.close(status)
        line: bytes | None = None
        # Not to be given up: what is forked has to be somebody's.
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(FORK_SECONDS) as waited:
                line = await told.next()
            if waited.cancelled_caught:
                # Once it is gone it forks no more; what it had forked has said so.
                process.kill()
                line = await told.next()
        if line is None:
            told.close()
            return None
        self._futile_starts = 0
        return Forked(int(line), told)

    def end(self) -> None:
        """End it; what it forked lives on."""
        self._orders.close()
        for each in (*self._retired, self._process):
            each.kill()
            each.wait()


def _lasting(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment is the same for each run."""
    return {name: value for name, value in environment.items() if not name.startswith("PREFECT__")}


def forking(zygote: Zygote, start: Callable[..., Any]) -> Callable[..., Any]:
    """Return what takes the place of Prefect's `run_process` in its worker.

    Args:
        zygote: Forks what it can.
        start: Prefect's own, for everything else.
    """

    async def run_process(
        command: list[str],
        *,
        stream_output: Any = False,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
        task_status_handler: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> Any:
        forked = None
        if zygote.takes(command, more["env"]):
            order = Order(
                arguments=tuple(command[3:]),
                folder=str(more["cwd"]),
                environment=more["env"],
                is_silent=not stream_output,
            )
            forked = await zygote.fork(order)
        if forked is None:
            return await start(
                command,
                stream_output=stream_output,
                task_status=task_status,
                task_status_handler=task_status_handler,
                **more,
            )
        if task_status is not None:
            task_status.started(task_status_handler(forked) if task_status_handler else forked.pid)
        await forked.wait()
        return forked

    return run_process


@contextlib.contextmanager
def _forked_runs() -> Generator[None]:
    """Have the worker of this process fork its runs."""
    starter: Any = importlib.import_module(STARTER)
    # As Prefect hands it on: with its settings, wherever they come from.
    zygote = Zygote({**os.environ, **get_current_settings().to_environment_variables(exclude_unset=True)})
    starter.run_process = forking(zygote, starter.run_process)
    try:
        yield
    finally:
        zygote.end()


def main() -> None:
    """Run `prefect worker` with this process's arguments."""
    from prefect.cli import app

    sys.argv[1:] = ["worker", *sys.argv[1:]]
    with _forked_runs() if sys.platform == "linux" else contextlib.nullcontext():
        app()


if __name__ == "__main__":
    main()
