"""A process that has its imports behind it, and of which a worker's flow runs are forked; see ADR 15.

It imports, starts no thread, opens no connection and loads nothing of the project, whose files another version may
bring. Then it forks a child for each run that the worker (`triptych.runtime.worker`) asks for over an inherited socket,
which nobody else can reach, and tells how the child ended. The child does what Prefect would have started two processes
for: it prepares the run's workspace, and becomes its engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import selectors
import site
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


class _Prepared(NamedTuple):
    """How Prefect would execute the engine."""

    command: list[str]
    folder: Path
    environment: dict[str, str]


def installed() -> dict[str, int]:
    """Return what changes when packages are installed or removed: what was imported before is then out of date."""
    folders = [Path(each) for each in (*site.getsitepackages(), site.getusersitepackages())]
    return {str(each): each.stat().st_mtime_ns for each in folders if each.is_dir()}


def main() -> None:
    """Be a zygote, with the socket whose number is the argument; in a child, execute its run."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    before = installed()
    for name in _IMPORTED:
        # An extra that is not installed is not needed either.
        with contextlib.suppress(ModuleNotFoundError):
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
        _execute(order, before)


def _serve(orders: socket.socket) -> Order | None:
    """Fork for each order; return the order in the child, and None in the zygote, once no more come and none runs."""
    children: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(orders, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                if key.fd in children:
                    waiting.unregister(key.fd)
                    _tell_end(key.fd, *children.pop(key.fd))
                    continue
                message, descriptors, _, _ = socket.recv_fds(orders, MOST_BYTES, 1)
                if not message:
                    waiting.unregister(orders)
                    continue
                status = descriptors[0]
                try:
                    child = os.fork()
                except OSError:
                    # That nothing is told says that nothing was forked.
                    os.close(status)
                    continue
                if child == 0:
                    orders.close()
                    for each in (*children, *(theirs for _, theirs in children.values())):
                        os.close(each)
                    return _begin(message, status)
                descriptor = os.pidfd_open(child)
                children[descriptor] = (child, status)
                waiting.register(descriptor, selectors.EVENT_READ)
    return None


def _tell_end(descriptor: int, child: int, status: int) -> None:
    _, ended = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
    for each in (descriptor, status):
        os.close(each)


def _begin(message: bytes, status: int) -> Order:
    """Be a process of its own, and then say so."""
    order = Order.model_validate_json(message)
    # A group of its own, so that whoever ends the run ends what it started as well.
    os.setsid()
    _show_run_id(order.environment[RUN_ID])
    os.write(status, b"%d\n" % os.getpid())
    os.close(status)
    return order


def _execute(order: Order, installed_before: Mapping[str, int]) -> None:
    """Do in this process what Prefect's supervisor does in one, and its engine in another that takes its place."""
    supervisor: Any = importlib.import_module(SUPERVISOR)
    os.environ.clear()
    os.environ.update(order.environment)
    _take_place(order)
    prepared: list[_Prepared] = []

    async def stay(command: list[str], *, cwd: Path, environment: dict[str, str]) -> int:
        prepared.append(_Prepared(command, cwd, environment))
        return 0

    supervisor._launch_engine = stay
    code: int = supervisor.main(list(order.arguments))
    if not prepared:
        sys.exit(code)
    ((command, folder, environment),) = prepared
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if command[1:] != ["-m", ENGINE] or installed() != installed_before or not _is_as_it_was(order):
        os.execvpe(command[0], command, environment)
    # The supervisor's event loop is closed; a flow that asks for one gets one, as in a new process.
    if sys.version_info < (3, 14):
        asyncio.set_event_loop_policy(None)  # pyright: ignore[reportDeprecated]
    _search([str(folder), *environment.get("PYTHONPATH", "").split(os.pathsep)], instead_of=order.folder)
    importlib.invalidate_caches()
    # Already imported by others, and to be executed as the program that this process is.
    sys.modules.pop(ENGINE, None)
    sys.argv = [ENGINE]
    runpy.run_module(ENGINE, run_name="__main__", alter_sys=True)


def _is_as_it_was(order: Order) -> bool:
    """Whether this process is as a new one would be, whatever the pull steps did.

    Prefect's settings would be the same, which also come from files of the folder that it is in now; nothing was
    imported from the folder that it was in; no thread would outlive the run.
    """
    from prefect.settings import Settings, get_current_settings

    there = f"{order.folder}{os.sep}"
    return (
        Settings().to_environment_variables() == get_current_settings().to_environment_variables()
        and not any((getattr(each, "__file__", None) or "").startswith(there) for each in list(sys.modules.values()))
        and all(each.daemon or each is threading.main_thread() for each in threading.enumerate())
    )


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
