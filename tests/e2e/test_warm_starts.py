"""A run's process is forked of one that has its imports behind it, and is as one that Prefect starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.disturbed_runs import deploy
from tests.e2e.services import pids
from tests.e2e.stack import Up, poll

ZYGOTE = "triptych.runtime.zygote"
ENGINE = ["-m", "prefect.engine"]
APART = ("parent", "pid", "program")


@pytest.fixture(scope="module")
def deployment(up: Up) -> str:
    return deploy(up, "tests/e2e/probing_flow.py:probing", "probing")


def start(up: Up, deployment: str, into: Path, *, seconds: float = 0, **env: str) -> str:
    body = {
        "parameters": {"into": str(into), "seconds": seconds},
        "job_variables": {"env": env},
        "state": {"type": "SCHEDULED"},
    }
    return up.post(f"deployments/{deployment}/create_flow_run", body)["id"]


def seen(into: Path) -> dict[str, Any]:
    def look() -> str | None:
        return into.read_text() if into.exists() else None

    return json.loads(poll("what the flow saw", look))


def zygote(up: Up) -> psutil.Process:
    def look() -> psutil.Process | None:
        children = psutil.Process(pids(up)["worker"]).children()
        return next((each for each in children if ZYGOTE in each.cmdline()), None)

    return poll("the worker's zygote", look)


def test_it_is_as_one_that_prefect_starts(up: Up, deployment: str, tmp_path: Path) -> None:
    warm, cold = tmp_path / "warm", tmp_path / "cold"
    up.wait_for(start(up, deployment, warm), "Completed")
    # With an environment that the zygote does not have, it is Prefect's own.
    up.wait_for(start(up, deployment, cold, TRIPTYCH_PROBED="yes"), "Completed")
    forked, started = seen(warm), seen(cold)
    assert (forked["parent"], forked["program"]) == (zygote(up).pid, zygote(up).cmdline()[1:])
    assert (started["parent"], started["program"]) == (pids(up)["worker"], ENGINE)
    assert started["environment"].pop("TRIPTYCH_PROBED") == "yes"
    for name in started.keys() - set(APART):
        assert forked[name] == started[name], name


def test_settings_in_the_folder_of_a_run_hold(up: Up, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("probing_flow.py"), tmp_path)
    (tmp_path / "prefect.toml").write_text("[results]\npersist_by_default = true\n")
    steps = [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    deployment = deploy(up, "probing_flow.py:probing", "settings-of-its-own", pull_steps=steps)
    up.wait_for(start(up, deployment, tmp_path / "seen"), "Completed")
    there = seen(tmp_path / "seen")
    assert there["settings"]["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "True"
    # It was forked, and then became another program.
    assert (there["parent"], there["program"]) == (zygote(up).pid, ENGINE)


def test_it_is_found_by_its_run_and_its_end_is_told(up: Up, deployment: str, tmp_path: Path) -> None:
    run = start(up, deployment, tmp_path / "seen", seconds=3600)
    process = psutil.Process(seen(tmp_path / "seen")["pid"])
    assert process.environ()["PREFECT__FLOW_RUN_ID"] == run
    process.kill()

    def crashed() -> bool:
        return any(each["name"] == "Crashed" for each in up.get(f"flow_run_states/?flow_run_id={run}"))

    poll("its end told to the server", crashed)
    # The recovery loop would bring it back.
    up.send(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


def test_a_run_is_cancelled(up: Up, deployment: str, tmp_path: Path) -> None:
    run = start(up, deployment, tmp_path / "seen", seconds=3600)
    process = psutil.Process(seen(tmp_path / "seen")["pid"])
    up.send(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}, "force": True})
    up.wait_for(run, "Cancelled")
    process.wait(30)


def test_a_zygote_that_died_is_made_anew_and_its_runs_go_on(up: Up, deployment: str, tmp_path: Path) -> None:
    first = zygote(up)
    running = start(up, deployment, tmp_path / "first", seconds=20)
    assert seen(tmp_path / "first")["parent"] == first.pid
    first.kill()
    second = start(up, deployment, tmp_path / "second")
    up.wait_for(second, "Completed")
    assert seen(tmp_path / "second")["parent"] == zygote(up).pid != first.pid
    assert up.wait_for(running, "Completed")["run_count"] == 1
