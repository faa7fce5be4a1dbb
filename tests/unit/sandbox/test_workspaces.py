"""Where code that a model wrote runs is configured, and never this machine unless somebody said just that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import LocalWorkspace
from pydantic_ai.models.test import TestModel
from pydantic_ai.workspaces import LocalWorkspaceBackend

from tests.components import require
from triptych.errors import ConfigurationError
from triptych.sandbox.workspaces import BARE, BUBBLEWRAP, workspace_capability
from triptych.settings import Settings


async def said(settings: Settings, command: str) -> str:
    """Return what a command prints that a tool of an agent runs, with its exit code."""
    agent = Agent(TestModel(), capabilities=[workspace_capability(settings)])
    answers: list[str] = []

    @agent.tool
    async def run(context: RunContext[Any]) -> str:
        done = await context.workspace.run(command, shell=True)
        answers.append(f"{done.stdout.strip()} {done.stderr.strip()} {done.exit_code}")
        return "done"

    await agent.run("Run it.")
    return answers[0]


def test_without_a_broker_a_box_is_refused_and_nothing_takes_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no broker answers .* `triptych up` starts one"):
        workspace_capability(Settings(home=tmp_path))


@pytest.mark.parametrize(
    ("workspace", "message"),
    [
        ("local", "is no workspace: hands"),
        ("", "is no workspace: hands"),
        ("pydantic_ai_harness:E2BSandbox", r"pydantic-ai-harness\[e2b\]"),
        ("pydantic_ai_harness:Nothing", "cannot be loaded"),
        ("no_such_module:Sandbox", "cannot be loaded"),
        ("pathlib:Path", "is no capability that supplies a workspace"),
        ("pydantic_ai.capabilities:Thinking", "is no capability that supplies a workspace"),
    ],
)
def test_what_is_no_workspace_is_refused(tmp_path: Path, workspace: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        workspace_capability(Settings(home=tmp_path, workspace=workspace))


def test_options_that_do_not_fit_are_refused() -> None:
    settings = Settings(workspace="pydantic_ai_harness:DockerSandbox", workspace_options={"imge": "debian"})
    with pytest.raises(ConfigurationError, match=r"do not fit DockerSandbox: .*imge"):
        workspace_capability(settings)


def test_a_capability_of_the_harness_takes_its_place() -> None:
    options = {"image": "debian", "allow_internet_access": False}
    made: Any = workspace_capability(Settings(workspace="pydantic_ai_harness:DockerSandbox", workspace_options=options))
    assert (type(made).__name__, made.image) == ("DockerSandbox", "debian")


async def test_bare_on_this_machine_only_by_a_name_that_says_so(tmp_path: Path) -> None:
    settings = Settings(workspace=BARE, workspace_options={"working_dir": str(tmp_path)})
    assert isinstance(workspace_capability(settings), LocalWorkspace)
    assert await said(settings, "pwd") == f"{tmp_path}  0"
    assert "unisolated" in BARE
    # By whatever other name, it is pydantic-ai's own class, and the operator wrote that down.
    assert LocalWorkspaceBackend(tmp_path).ref.id == str(tmp_path)


@pytest.mark.parametrize("place", ["home", "elsewhere"])
async def test_bubblewrap_isolates_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    require("bubblewrap")
    home, triptych = tmp_path / "home", tmp_path / "triptych"
    folder = (home if place == "home" else tmp_path) / "work"
    folder.mkdir(parents=True)
    for each in (home, triptych):
        each.mkdir(exist_ok=True)
        (each / "secret").write_text("CANARY")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CREDENTIAL", "CANARY")
    settings = Settings(home=triptych, workspace=BUBBLEWRAP, workspace_options={"working_dir": str(folder)})
    assert await said(settings, "echo here > file && cat file") == "here  0"
    assert (folder / "file").read_text() == "here\n"
    seen = await said(settings, f"env; cat {home}/secret {triptych}/secret; ls -d /proc/{os.getpid()}/environ")
    assert "CANARY" not in seen
    assert seen.count("No such file") == 3
    await said(settings, f"echo x > {tmp_path}/file; echo x > /etc/triptych-was-here")
    assert not (tmp_path / "file").exists()
    assert not Path("/etc/triptych-was-here").exists()
    connect = "import socket; socket.socket().connect(('127.0.0.1', 9))"
    assert "Permission" in await said(settings, f'python3 -c "{connect}"')
