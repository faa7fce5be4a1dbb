"""A deploy amid runs, and the way back, from the command line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.disturbed_runs import load_order
from tests.e2e.stack import PROJECT, Home, Up
from tests.e2e.waiting_runs import effects, resume

ORDER = "#T9999"
AGENT = """
from triptych.loop.agents import orders
from triptych.loop.agents.orders import LIMITS, NAME, open_deps


def build_agent(model, *, capabilities=()):
    agent = orders.build_agent(model, capabilities=capabilities)
    agent.instructions(lambda: "Be {manner}.")
    return agent
"""


def git(project: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Una", "-c", "user.email=una@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=project, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(project: Path, tag: str, manner: str) -> None:
    (project / "desk").mkdir(exist_ok=True)
    (project / "desk" / "agent.py").write_text(AGENT.format(manner=manner))
    git(project, "add", "--all")
    git(project, "commit", "--message", tag)
    git(project, "tag", tag)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project, in a repository of its own."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("flows", "blocks"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    deployments = (PROJECT / "prefect.yaml").read_text()
    cron = "    schedules:\n"
    assert cron in deployments
    # Its anchor is the time of the deploy: another one each time.
    (folder / "prefect.yaml").write_text(deployments.replace(cron, f"{cron}      - interval: 3600\n", 1))
    git(folder, "init", "--quiet")
    commit(folder, "v1", "brief")
    return folder


@pytest.fixture(scope="module")
def own(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = Home(tmp_path_factory.mktemp("own-home"))
    try:
        up = Up(folder=home.folder, api_url=home.json("up", "--project", str(project))["api_url"])
        load_order(up)
        yield up
    finally:
        home.json("down")


def start(up: Up, **env: str) -> str:
    """Start a run that asks for a large refund, and wait until it waits."""
    actions = [
        {"name": "order_lookup", "arguments": {"order_id": ORDER}},
        {"name": "refund", "arguments": {"order_id": ORDER, "amount": 600.0}},
    ]
    ticket = {"id": "refund", "instruction": "I want 600 dollars back.", "actions": actions}
    deployment = up.get("deployments/name/handle-ticket/handle-ticket")
    body = {
        "state": {"type": "SCHEDULED"},
        "parameters": {"ticket": ticket, "agent": "desk.agent"},
        "job_variables": {"env": env},
    }
    run = up.post(f"deployments/{deployment['id']}/create_flow_run", body)["id"]
    assert up.wait_for(run, "Suspended", "Failed", "Completed")["state_name"] == "Suspended"
    return run


def ended(up: Up, run: str) -> dict[str, Any]:
    resume(up, run, {"approve": True, "name": "Mia"})
    return up.wait_for(run, "Completed", "Failed")


def inbox_schedules(up: Up) -> list[dict[str, Any]]:
    """The two schedules of the inbox: at times of the day, and every so often."""
    schedules = up.get("deployments/name/handle-inbox/handle-inbox")["schedules"]
    assert ["cron" in each["schedule"] for each in schedules].count(True) == 1
    assert ["interval" in each["schedule"] for each in schedules].count(True) == 1
    return schedules


def are_paused(up: Up) -> bool:
    return not any(each["active"] for each in inbox_schedules(up))


@pytest.mark.timeout(600)
def test_a_deploy_amid_runs_and_the_way_back(own: Up, project: Path) -> None:
    assert "no former version" in own.run("rollback", "--project", str(project), code=2).stderr
    first = own.json("deploy", "--ref", "v1", "--project", str(project))
    deployment = own.get("deployments/name/handle-inbox/handle-inbox")["id"]
    for schedule in inbox_schedules(own):
        own.patch(f"deployments/{deployment}/schedules/{schedule['id']}", {"active": False})

    stopping, finishing, fitting = start(own), start(own, TRIPTYCH_WHEN_CODE_CHANGES="finish"), start(own)
    assert own.get(f"flow_runs/{stopping}")["labels"]["triptych.version"] == first["commit"]
    commit(project, "v2", "generous")
    own.run("deploy", "--ref", "v2", "--project", str(project))
    # A person had paused them.
    assert are_paused(own)

    stopped = ended(own, stopping)
    assert stopped["state_name"] == "Failed"
    assert "CheckpointIncompatible" in stopped["state"]["message"]
    assert "1. ask scripted" in stopped["state"]["message"]
    assert "instructions" in stopped["state"]["message"]
    assert effects(own, stopping) == []
    assert ended(own, finishing)["state_name"] == "Completed"
    assert len(effects(own, finishing)) == 1

    back = own.run("rollback", "--project", str(project)).stdout
    assert f"Back at v1 ({first['commit'][:12]})" in back
    assert are_paused(own)
    assert ended(own, fitting)["state_name"] == "Completed"
    # What had stopped is run again, and goes on with what was decided.
    own.send(f"flow_runs/{stopping}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    assert own.wait_for(stopping, "Completed", "Failed", "Suspended")["state_name"] == "Completed"
    assert len(effects(own, stopping)) == 1


@pytest.mark.parametrize(("ref", "said"), [("v9", "no commit 'v9'"), ("--help-me", "no commit '--help-me'")])
def test_what_cannot_be_deployed_is_said(own: Up, project: Path, ref: str, said: str) -> None:
    assert said in own.run("deploy", f"--ref={ref}", "--project", str(project), code=2).stderr


def test_a_folder_without_a_repository_has_no_versions(own: Up, tmp_path: Path) -> None:
    shutil.copy(PROJECT / "prefect.yaml", tmp_path)
    assert "no commit 'HEAD'" in own.run("deploy", "--project", str(tmp_path), code=2).stderr
