"""A process that has its imports behind it, and of which a worker's flow runs are forked; see ADR 15.

It imports, starts no thread, opens no connection and loads nothing of the project, whose files another version may
bring. Then it forks a child for each run that the worker (`triptych.runtime.worker`) asks for over an inherited socket,
which nobody else can reach, and tells how the child ended. The child does what Prefect would have started two processes
for: it prepares the run's workspace, and becomes its engine.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

SUPERVISOR = "prefect.runner._workspace_supervisor"
"""What Prefect's worker starts for a run: it prepares the workspace, and then executes the engine in its own place."""
ENGINE = "prefect.engine"
RUN_ID = "PREFECT__FLOW_RUN_ID"
"""The environment variable by which a flow run's process is known, here and to whoever looks at it from outside."""
PLACE_OF_RUN_ID = "0" * 36
"""What stands in a zygote's own environment where a child writes its run's id, which is as long."""
MOST_BYTES = 100_000
"""Of one order; an environment that needs more is rare, and is started as Prefect does."""
_IMPORTED = (
    "genai_prices.data",
    "prefect.deployments.steps.core",
    "prefect.deployments.steps.pull",
    "prefect.flow_engine",
    "prefect.plugins",
    "prefect.task_engine",
    "pydantic_ai_harness.coder",
    "requests",
    "s3fs",
    "sqlalchemy.dialects.sqlite",
    "triptych.runtime.coding",
    "triptych.runtime.durability",
    "triptych.runtime.inbox",
    "triptych.runtime.tickets",
    "triptych.runtime.workspace_files",
    SUPERVISOR,
)
"""What executing a run of this project imports, short of the project's own files."""


class Order(BaseModel):
    """A flow run to fork a process for."""

    model_config = ConfigDict(frozen=True)

    arguments: tuple[str, ...]
    """Of the supervisor."""
    folder: str
    environment: Mapping[str, str]
    is_silent: bool
    """Whether what it says goes nowhere; else it goes where the zygote's own words go."""


class NotAlone(Exception):
    """There are threads, of which a fork takes along the locks that they hold, but not them."""


def main() -> None:
    """Be a zygote, with the socket whose number is the argument; in a child, execute its run."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    for name in _IMPORTED:
        importlib.import_module(name)
    from prefect.plugins import load_prefect_collections

    load_prefect_collections()
    if len(os.listdir("/proc/self/task")) > 1:
        raise NotAlone("an import started a thread")
    # What is there by now stays for good: no collection of a child's touches it, and its pages are shared.
    gc.collect()
    gc.freeze()
    order = _serve(orders)
    if order is not None:
        _execute(order)


def _serve(orders: socket.socket) -> Order | None:
    """Fork for each order until the worker is gone; return the order in the child, and None in the zygote."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    children: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([orders, woken], [], [])
        if woken in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        _reap(children)
        if orders not in readable:
            continue
        message, descriptors, _, _ = socket.recv_fds(orders, MOST_BYTES, 1)
        if not message:
            return None
        (status,) = descriptors
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            orders.close()
            for each in (woken, wake, *children.values()):
                os.close(each)
            os.set_inheritable(status, False)
            order = Order.model_validate_json(message)
            # Before anybody knows of it: a group of its own, so that whoever ends the run ends what it started as well.
            os.setsid()
            _show_run_id(order.environment[RUN_ID])
            # The descriptor stays open: that it is closed everywhere says that this process is gone, zygote or not.
            os.write(status, b"%d\n" % os.getpid())
            return order
        children[child] = status


def _reap(children: dict[int, int]) -> None:
    """Tell how those children ended that did."""
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        told = children.pop(child)
        with contextlib.suppress(BrokenPipeError):
            os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(told)


def _execute(order: Order) -> None:
    """Do in this process what Prefect's supervisor does in one, and its engine in another that takes its place."""
    supervisor: Any = importlib.import_module(SUPERVISOR)
    os.environ.clear()
    os.environ.update(order.environment)
    _take_place(order)
    importlib.invalidate_caches()
    before = dict(os.environ)
    prepared: list[tuple[Path, dict[str, str]]] = []
    execute = supervisor._launch_engine

    async def stay(command: list[str], *, cwd: Path, environment: dict[str, str]) -> int:
        """Leave the engine to this process, unless it is another program or Prefect's settings were changed."""
        if command[1:] != ["-m", ENGINE] or _settings(environment) != _settings(before):
            return int(await execute(command, cwd=cwd, environment=environment))
        prepared.append((cwd, environment))
        return 0

    supervisor._launch_engine = stay
    code: int = supervisor.main(list(order.arguments))
    if code != 0 or not prepared:
        sys.exit(code)
    ((folder, environment),) = prepared
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    _search([str(folder), *environment.get("PYTHONPATH", "").split(os.pathsep)], instead_of=order.folder)
    # Already imported by others, and to be executed as the program that this process is.
    sys.modules.pop(ENGINE, None)
    sys.argv = [ENGINE]
    runpy.run_module(ENGINE, run_name="__main__", alter_sys=True)


def _take_place(order: Order) -> None:
    os.chdir(order.folder)
    _search([order.folder])
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    if order.is_silent:
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    os.close(nothing)


def _search(first: list[str], *, instead_of: str | None = None) -> None:
    """Look for modules in these folders first, as `python -m` does in its folder and those of PYTHONPATH."""
    rest = [each for each in sys.path if each != instead_of]
    sys.path[:] = dict.fromkeys([*filter(None, first), *rest])


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return Prefect's settings of an environment: it read them when it was imported."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("PREFECT_") and not name.startswith("PREFECT__")
    }


def _show_run_id(run_id: str) -> None:
    """Write the run's id where the system shows this process's environment: that of the zygote, since a fork has none.

    So `ps e` and whoever looks for a run's process finds it as one that Prefect started.
    """
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end, 50 and 51 of all; see proc_pid_stat(5)
    at = ctypes.string_at(start, end - start).find(f"{RUN_ID}={PLACE_OF_RUN_ID}\0".encode())
    if at >= 0 and len(run_id) == len(PLACE_OF_RUN_ID):
        ctypes.memmove(start + at + len(RUN_ID) + 1, run_id.encode(), len(run_id))


if __name__ == "__main__":
    main()
