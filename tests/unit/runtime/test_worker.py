"""What the worker's end of a zygote makes of what becomes of it."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from triptych.runtime import worker
from triptych.runtime.worker import FUTILE_STARTS, STARTER, Forked, Zygote, forking
from triptych.runtime.zygote import MOST_BYTES, RUN_ID, SUPERVISOR, Order

ENVIRONMENT = dict(os.environ)
"""As it is now: pytest writes into it which test it is at."""
RUN = "0199c0de-0000-7000-8000-000000000001"


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    made = Zygote(ENVIRONMENT)
    yield made
    made.end()


def order(folder: Path, config: Path, **environment: str) -> Order:
    return Order(
        arguments=(str(config),),
        folder=str(folder),
        environment={**ENVIRONMENT, RUN_ID: RUN, **environment},
        is_silent=True,
    )


@pytest.fixture
def waiting(tmp_path: Path) -> Order:
    """An order whose process waits for somebody to write its configuration."""
    os.mkfifo(tmp_path / "config.json")
    return order(tmp_path, tmp_path / "config.json")


def its_process(zygote: Zygote) -> psutil.Process:
    return psutil.Process(zygote._process.pid)  # pyright: ignore[reportPrivateUsage]


async def fork(zygote: Zygote, wanted: Order) -> Forked:
    forked = await zygote.fork(wanted)
    assert forked is not None
    return forked


async def test_the_end_of_a_process_is_told(zygote: Zygote, waiting: Order, tmp_path: Path) -> None:
    killed = await fork(zygote, waiting)
    process = psutil.Process(killed.pid)
    assert process.environ()[RUN_ID] == RUN
    assert os.getpgid(killed.pid) == os.getsid(killed.pid) == killed.pid
    assert killed.returncode is None
    process.kill()
    assert await killed.wait() == killed.returncode == -signal.SIGKILL

    # What it is asked to prepare is not there.
    failed = await fork(zygote, order(tmp_path, tmp_path / "nothing.json"))
    assert await failed.wait() == 1
    assert its_process(zygote).children() == []


async def test_who_gives_up_waiting_ends_it(zygote: Zygote, waiting: Order) -> None:
    forked = await fork(zygote, waiting)
    with anyio.move_on_after(0.1):
        await forked.wait()
    assert forked.returncode == -signal.SIGKILL


async def test_a_process_outlives_its_zygote_and_another_takes_its_place(zygote: Zygote, waiting: Order) -> None:
    forked = await fork(zygote, waiting)
    its_process(zygote).kill()
    with anyio.move_on_after(0.5) as waited:
        await forked._end()  # pyright: ignore[reportPrivateUsage]
    assert waited.cancelled_caught, "it was taken for gone with its zygote"
    assert zygote.takes([sys.executable, "-m", SUPERVISOR], waiting.environment)
    another = await fork(zygote, waiting)
    for each in (forked, another):
        os.kill(each.pid, signal.SIGKILL)
    # Nobody was there to see how the first one ended.
    assert (await forked.wait(), await another.wait()) == (1, -signal.SIGKILL)


async def test_who_gives_up_before_it_is_forked_leaves_none_behind(zygote: Zygote, waiting: Order) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        forked = await zygote.fork(waiting)
        assert forked is not None
        await forked.wait()
    assert scope.cancelled_caught
    assert its_process(zygote).children() == []


async def test_one_that_stands_still_is_ended(zygote: Zygote, waiting: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FORK_SECONDS", 0.2)
    process = its_process(zygote)
    process.suspend()
    assert await zygote.fork(waiting) is None
    # A moment after its descriptors are closed.
    assert process.wait(30) == -signal.SIGKILL


def test_one_that_forks_nothing_is_not_started_for_ever(zygote: Zygote) -> None:
    command = [sys.executable, "-m", SUPERVISOR]
    for start in range(1, FUTILE_STARTS + 1):
        process = zygote._process  # pyright: ignore[reportPrivateUsage]
        process.kill()
        process.wait()
        assert zygote.takes(command, ENVIRONMENT) == (start < FUTILE_STARTS)


async def test_what_was_installed_since_is_imported_by_another(
    zygote: Zygote, waiting: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", SUPERVISOR]
    forked = await fork(zygote, waiting)
    first = its_process(zygote)
    assert zygote.takes(command, ENVIRONMENT)
    assert its_process(zygote) == first
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path)])
    assert zygote.takes(command, ENVIRONMENT)
    assert its_process(zygote) != first
    # The first one stays to tell how its child ended.
    os.kill(forked.pid, signal.SIGKILL)
    assert await forked.wait() == -signal.SIGKILL
    _, left = psutil.wait_procs([first], timeout=30)
    assert left == []


async def test_what_it_cannot_do_is_started_as_ever(zygote: Zygote, tmp_path: Path) -> None:
    started: list[list[str]] = []

    async def start(command: list[str], **_: Any) -> None:
        started.append(command)

    run_process = forking(zygote, start)
    ours = [sys.executable, "-m", SUPERVISOR, str(tmp_path / "nothing.json")]

    async def ran(command: list[str], **environment: str) -> bool:
        before = len(started)
        env: Mapping[str, str] = {**ENVIRONMENT, RUN_ID: RUN, **environment}
        await run_process(command, env=env, cwd=tmp_path)
        return len(started) > before

    assert await ran(["/bin/true"])
    assert await ran(ours, TRIPTYCH_HOME="/elsewhere")
    assert await ran(ours, **{"PREFECT__MUCH": "x" * MOST_BYTES})
    assert not await ran(ours)


def test_prefect_still_starts_its_runs_by_those_functions() -> None:
    from prefect.utilities.processutils import run_process

    assert importlib.import_module(STARTER).run_process is run_process
    assert callable(importlib.import_module(SUPERVISOR)._launch_engine)
