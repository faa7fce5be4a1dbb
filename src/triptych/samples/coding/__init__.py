"""Small buggy repositories of our own making, each with a task, a scripted plan that fixes it, and what comes of that.

A folder each: `repository` holds the files, `task.yaml` the rest. Some plans attack on the way: what they print when
they got nothing stands there too, so that a test can tell that it was tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import yaml

from triptych.fixes import FixTask
from triptych.samples.repositories import make_repository

SUITE = Path(__file__).parent
"""The folder of the folders."""

Expected: TypeAlias = Literal["fixed", "no_patch", "tests_fail", "forbidden_path"]


class Sample(NamedTuple):
    """One task of the suite."""

    task: FixTask
    expected: Expected = "fixed"
    """What becomes of the plan's patch: its tests pass, there is none, they fail, or it touches a forbidden path."""
    attack: str | None = None
    """What a tool returned, among other things, when the plan's attack was tried and got nothing; None: no attack."""


def suite_names() -> list[str]:
    """Return the names of the suite's tasks."""
    return sorted(path.parent.name for path in SUITE.glob("*/task.yaml"))


def load_suite(into: Path, names: Iterable[str] | None = None) -> list[Sample]:
    """Make the suite's repositories, each the same commit every time.

    Args:
        into: A folder for them, made where it is not there.
        names: Which; all of them by default.

    Returns:
        The tasks, by name, each on a repository of its own in that folder.

    Raises:
        ConfigurationError: git is not there, or one of the repositories is.
    """
    return [_load(name, into.absolute() / name) for name in (suite_names() if names is None else names)]


def _load(name: str, folder: Path) -> Sample:
    files = SUITE / name / "repository"
    content = {
        path.relative_to(files).as_posix(): path.read_bytes()
        for path in sorted(files.rglob("*"))
        # Somebody may have run a sample where it stands.
        if path.is_file() and "__pycache__" not in path.parts
    }
    make_repository(folder, content)
    described: dict[str, Any] = yaml.safe_load((SUITE / name / "task.yaml").read_text(encoding="utf-8"))
    task = FixTask.model_validate({"name": name, "repository": str(folder), **described["task"]})
    return Sample(task, described["expected"], described.get("attack"))
