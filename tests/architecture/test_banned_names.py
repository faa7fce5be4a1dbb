"""Names that belong to one layer are refused elsewhere, by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.components.locate import CHECKOUT

RUFF = [Path(sys.executable).with_name("ruff"), "check", "--select=TID251", "--output-format=concise", "--no-cache"]


def complaints(place: str, source: str) -> list[str]:
    done = subprocess.run(
        [*RUFF, f"--stdin-filename={place}", "-"],
        cwd=CHECKOUT,
        input=source + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if "TID251" in line]


@pytest.mark.parametrize(
    "source",
    [
        "import prefect",
        "from prefect.flows import Flow",
        "def late():\n    from prefect import flow",
        "import prefect_docker",
        "import docker",
        "import aiodocker",
        "from pydantic_ai.durable_exec import prefect",
        "from pydantic_ai import durable_exec",
        "import pydantic_ai\npydantic_ai.durable_exec",
    ],
)
@pytest.mark.parametrize("place", ["src/triptych/loop/x.py", "src/triptych/loop/a/b.py", "src/triptych/cli.py"])
def test_the_loop_and_the_cli_may_not_name_them(place: str, source: str):
    assert complaints(place, source)


@pytest.mark.parametrize("place", ["src/triptych/runtime/x.py", "flows/x.py", "blocks/x.py", "benchmarks/x.py"])
def test_the_runtime_and_the_project_may(place: str):
    assert not complaints(place, "import prefect")


def test_an_unbanned_name_is_fine_in_the_loop():
    assert not complaints("src/triptych/loop/x.py", "import pydantic_ai")
