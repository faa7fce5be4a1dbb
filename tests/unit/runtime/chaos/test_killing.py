"""What is killed belongs to the stack, when it is due, and services come back with the mark they had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from triptych.runtime.chaos.killing import FLOW_RUN, LAST_AT, Kill, Killer, Supervisor, flow_processes, plan
from triptych.runtime.services import MARK, end_marked, launch

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STARTS_ANOTHER = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEPS!r})"]
OURS = f"the stack of test process {os.getpid()}"
"""Test processes beside this one end what carries their own mark."""

Start = Callable[..., psutil.Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts sleeping processes with an environment of their own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**env: str) -> psutil.Process:
        started.append(subprocess.Popen(SLEEPS, env={**os.environ, **env}))
        return psutil.Process(started[-1].pid)

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    env = {**os.environ, "OF_THE_SERVICE": "kept"}
    names = ("server", "worker")
    yield Supervisor(
        [launch(name, STARTS_ANOTHER, folder=tmp_path, log=tmp_path / name, mark=OURS, env=env) for name in names]
    )
    end_marked(OURS)


def is_up() -> bool:
    return True


def test_a_plan_is_the_seeds_and_spread_over_the_work() -> None:
    kills = plan(1, 100)
    assert kills == plan(1, 100) != plan(2, 100)
    assert Counter(kill.target for kill in kills) == {"flow": 75, "worker": 15, "server": 10}
    assert [kill.after for kill in kills] == sorted(kill.after for kill in kills)
    assert {int(4 * kill.after / LAST_AT) for kill in kills} == {0, 1, 2, 3}
    assert {kill.target for kill in plan(1, 4)} == {"flow", "worker", "server"}
    assert [len(plan(1, kills)) for kills in range(5)] == [0, 1, 2, 3, 4]


def test_only_flow_processes_of_this_stack_and_these_runs_are_found(start: Start) -> None:
    ours = start(**{MARK: OURS, FLOW_RUN: "a"})
    start(**{MARK: "another stack", FLOW_RUN: "a"})
    start(**{MARK: OURS, FLOW_RUN: "no ticket's"})
    start(**{MARK: OURS})
    start(**{FLOW_RUN: "a"})
    assert flow_processes(OURS, ["a"]) == [ours]


def test_a_kill_is_made_when_it_is_due_and_finds_something(start: Start, supervisor: Supervisor) -> None:
    killer = Killer([Kill("flow", 0.5, 0.0)], supervisor, mark=OURS, seed=0)
    assert killer.look(0.4, ["a"], [], is_up) is None
    # Nothing is there: it does not count, and is made later.
    assert killer.look(0.6, ["a"], [], is_up) is None
    assert (killer.made.total(), killer.is_done) == (0, False)
    process = start(**{MARK: OURS, FLOW_RUN: "a"})
    assert killer.look(0.6, ["a"], [], is_up) == Kill("flow", 0.5, 0.0)
    assert process.wait(10) == -9
    assert (killer.made, killer.is_done) == ({"flow": 1}, True)
    assert killer.look(1.0, ["a"], [], is_up) is None


def test_most_kills_take_what_is_at_work(start: Start, supervisor: Supervisor) -> None:
    processes = [start(**{MARK: OURS, FLOW_RUN: "a"}) for _ in range(6)]
    killer = Killer([Kill("flow", 0.0, 0.0)] * 3, supervisor, mark=OURS, seed=0)
    for process in processes[:3]:
        assert killer.look(1.0, ["a"], [process.pid], is_up) is not None
    died, _ = psutil.wait_procs(processes, timeout=2)
    assert len(died) == 3
    assert sum(process in died for process in processes[:3]) >= 2


def test_a_pause_is_waited_for_and_a_server_that_is_not_up_is_not_killed(supervisor: Supervisor) -> None:
    late = Killer([Kill("worker", 0.0, 600.0)], supervisor, mark=OURS, seed=0)
    assert late.look(1.0, [], [], is_up) is None
    killer = Killer([Kill("server", 0.0, 0.0)], supervisor, mark=OURS, seed=0)
    assert killer.look(1.0, [], [], lambda: False) is None
    assert killer.look(1.0, [], [], is_up) is not None


@pytest.mark.parametrize(("name", "spared"), [("server", False), ("worker", True)])
def test_a_service_comes_back_with_the_same_command_environment_and_mark(
    supervisor: Supervisor, name: str, spared: bool
) -> None:
    first = supervisor.services[name].process()
    assert first is not None
    while not (family := first.children()):
        assert first.is_running()
    assert supervisor.kill(name)
    again = supervisor.services[name].process()
    assert again is not None
    assert again.pid != first.pid
    assert not first.is_running()
    # What a worker started lives on, as a flow run does.
    assert family[0].is_running() == spared
    assert again.cmdline() == STARTS_ANOTHER
    assert again.environ()["OF_THE_SERVICE"] == "kept"
    assert again.environ()[MARK] == OURS
    assert supervisor.died == []
    end_marked(OURS)
    assert not again.is_running()
    assert not family[0].is_running()


def test_a_service_that_ended_by_itself_is_started_again_and_named(supervisor: Supervisor) -> None:
    process = supervisor.services["worker"].process()
    assert process is not None
    process.kill()
    psutil.wait_procs([process], timeout=10)
    assert supervisor.kill("worker") is False
    supervisor.look()
    assert supervisor.died == ["worker"]
    assert supervisor.services["worker"].process() is not None
