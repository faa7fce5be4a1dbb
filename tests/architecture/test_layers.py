"""The layers hold, and the check that says so sees every kind of breach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components.locate import CHECKOUT

BREACHES = {
    "src/triptych/loop/breach.py": ("import prefect", "triptych.loop is not allowed to import prefect"),
    "src/triptych/sandbox/breach.py": (
        "import triptych.loop",
        "triptych.sandbox is not allowed to import triptych.loop",
    ),
    "src/triptych/repositories/breach.py": (
        "import triptych.sandbox",
        "triptych.repositories is not allowed to import triptych.sandbox",
    ),
    "src/triptych/sandbox/through_others.py": (
        "import triptych.runtime.breach",
        "triptych.sandbox is not allowed to import triptych.runtime",
    ),
    "src/triptych/runtime/breach.py": ("import docker, flows", "triptych.runtime is not allowed to import docker"),
    "src/triptych/unplaced.py": ("", "triptych.unplaced"),
    "blocks/breach.py": ("import benchmarks", "blocks is not allowed to import benchmarks"),
    "benchmarks/breach.py": ("import flows", "benchmarks is not allowed to import flows"),
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def broken_tree(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(CHECKOUT / "pyproject.toml", tree)
    for folder in ("src", "flows", "blocks", "benchmarks"):
        shutil.copytree(CHECKOUT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for place, (source, _) in BREACHES.items():
        (tree / place).write_text(source + "\n")
    return lint(tree)


def test_the_layers_hold():
    done = lint(CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("place", BREACHES)
def test_a_breach_is_seen(broken_tree: subprocess.CompletedProcess[str], place: str):
    assert broken_tree.returncode == 1, broken_tree.stdout + broken_tree.stderr
    assert BREACHES[place][1] in broken_tree.stdout
