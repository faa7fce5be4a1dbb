"""What is shipped works by itself: the wheel in a new environment, with whatever a plain install resolves to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import triptych
from tests.components.locate import CHECKOUT

# Measured, not merely declared: outside of these the server does not start, or the API is another one.
KNOWN_TO_WORK = [
    "fastapi>=0.139,<0.151",
    "prefect>=3.8.8,<3.9",
    "prefect-docker>=0.7.4,<0.8",
    "pydantic-ai-slim>=2.62,<2.63",
    "s3fs>=2026.9",
    "sqlalchemy>=2.0.40,<2.1",
]
UV = Path(sys.executable).with_name("uv")

# Installing two hundred packages over a slow line takes its time.
pytestmark = pytest.mark.timeout(400)


def run(*command: str | Path, folder: Path) -> str:
    """Run outside of the checkout, with nothing that could lead back into it."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[:3]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A new environment with the wheel and all its extras, and nothing that a lock says."""
    folder = wheel.parent / "environment"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder, folder=wheel.parent)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    run(*install, f"triptych[postgres,sandbox] @ {wheel.as_uri()}", folder=wheel.parent)
    return folder


def test_the_wheel_holds_the_package_alone(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"triptych", f"triptych-{triptych.__version__}.dist-info"}
    sources = CHECKOUT / "src"
    expected = {
        str(path.relative_to(sources))
        for path in (sources / "triptych").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("triptych/")} == expected
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_plain_install_resolves_to_a_set_that_works(environment: Path):
    frozen = run(UV, "pip", "freeze", "--python", environment / "bin" / "python", folder=environment)
    versions = dict(line.split("==") for line in frozen.splitlines() if "==" in line)
    for line in KNOWN_TO_WORK:
        wanted = Requirement(line)
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier
    run(UV, "pip", "check", "--python", environment / "bin" / "python", folder=environment)


def test_the_installed_command_tells_its_version(environment: Path):
    assert triptych.__version__ in run(environment / "bin" / "triptych", "--version", folder=environment)


def test_an_agent_runs_from_the_wheel(environment: Path, tmp_path: Path):
    script = Path(__file__).with_name("installed_agent.py")
    said = run(environment / "bin" / "python", "-I", script, f"sqlite:///{tmp_path / 'desk.sqlite'}", folder=tmp_path)
    answer = json.loads(said)
    assert Path(answer.pop("package")).is_relative_to(environment)
    assert answer == {"outcome": "resolved", "requests": 3, "effects": ["refund"]}
