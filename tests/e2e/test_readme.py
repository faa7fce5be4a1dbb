"""What the README tells a reader to type runs, and its Python does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tests.components.sandbox import docker_to_itself
from tests.e2e.stack import PROJECT, Home, Up
from triptych.runtime.coding.task_file import parse_task_file
from triptych.sandbox.policy import Egress

README = (PROJECT / "README.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.strip().splitlines()
]
ELSEWHERE = {
    "make demo": "tests/e2e/test_demo.py",
    "make bench": "tests/e2e/test_architectures.py",
    "triptych down": "tests/e2e/conftest.py",
    "triptych up": "tests/e2e/conftest.py",
    "triptych bench --suite demo": "tests/e2e/test_demo.py",  # the same demo, with its processes watched
    "triptych bench --suite approvals": "tests/e2e/test_ten_at_once.py",
    # What needs a Docker Engine.
    "docker build --tag triptych-hands deployments/hands": "tests/components/sandbox.py",
    "docker build --tag triptych-brain --file deployments/brain/Dockerfile .": "tests/components/sandbox.py",
    "triptych pool": "tests/e2e/hands/test_brains.py",
    "triptych sandboxes": "tests/e2e/hands/test_up.py",
    "triptych reap": "tests/e2e/hands/test_up.py",
    "triptych fix tasks.yaml": "tests/e2e/hands/test_fix_batch.py",
    "triptych demo --coding": "tests/e2e/hands/test_demo_coding.py",
    "triptych bench --suite sandbox": "tests/e2e/hands/test_bench.py",
    "triptych inbox src/triptych/samples/tickets.jsonl": "tests/e2e/test_demo.py",  # which runs this very command
}
"""Commands that another test runs already, as it must to do anything at all."""


def test_every_command_is_known_and_its_test_is_there() -> None:
    assert COMMANDS
    for command in COMMANDS:
        assert command in ELSEWHERE or command.startswith("triptych "), command
    for test in ELSEWHERE.values():
        assert (PROJECT / test).is_file()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ELSEWHERE])
def test_a_command_of_the_readme_runs(up: Up, command: str) -> None:
    arguments = shlex.split(re.sub(r"--rounds \d+", "--rounds 1", command))[1:]
    up.run(*arguments)


def test_the_egress_of_the_readme_can_be_put_into_a_block() -> None:
    (rules,) = [each for each in re.findall(r"```json\n(.*?)```", README, re.DOTALL) if '"secret"' in each]
    first, second = TypeAdapter(tuple[Egress, ...]).validate_json(rules)
    assert (first.host, first.port, first.header, first.secret) == (
        "api.example.com", 443, "Authorization", "example-api",
    )  # fmt: skip
    assert (second.host, second.port, second.header) == ("git.example.com", 8443, None)


def test_the_task_file_of_the_readme_can_be_used(tmp_path: Path) -> None:
    (file,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "shop").mkdir()
    (tmp_path / "here").mkdir()
    first, second = parse_task_file(file.encode(), name="tasks.yaml", folder=tmp_path / "here").tasks
    assert (first.name, first.approve, second.base, second.limits.steps) == ("last-page", True, "release-2", 30)
    assert {Path(each.repository).resolve() for each in (first, second)} == {tmp_path / "shop"}


def test_make_demo_is_triptych_demo() -> None:
    said = subprocess.run(["make", "-n", "demo"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert ".venv/bin/triptych demo" in said


def said_by_python(up: Up, about: str, folder: Path, tmp_path: Path) -> str:
    """Run the one Python text of the README that is about something, and return what it prints."""
    (code,) = [each for each in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if about in each]
    script = tmp_path / "script.py"
    script.write_text(code)
    env = {**up.env, "PREFECT_API_URL": up.api_url, "PREFECT_HOME": str(up.folder / "prefect")}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.timeout(200)
def test_the_python_of_the_readme_runs(up: Up, tmp_path: Path) -> None:
    assert said_by_python(up, "greet", tmp_path, tmp_path) == "Hello, Ada."


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("hands_image")
def test_the_box_of_the_readme_runs(up: Up, tmp_path: Path) -> None:
    with docker_to_itself():
        assert said_by_python(up, "Sandbox.create", PROJECT, tmp_path) == "0 True"


def test_files_that_the_readme_names_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (PROJECT / target).exists(), target


def test_variables_that_the_readme_names_are_settings(home: Home) -> None:
    from triptych.settings import BrainSettings, Settings, StoreSettings

    for name in re.findall(r"`TRIPTYCH_([A-Z_]+)`", README):
        head, _, tail = name.lower().partition("__")
        assert head in Settings.model_fields, name
        assert not tail or tail in {**StoreSettings.model_fields, **BrainSettings.model_fields}, name
