"""Real repositories in folders of their own, and traps in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.repositories.repository import Repository, Traps


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One commit on `main`, with a few files and whose owner is known."""
    made = Repository(tmp_path / "owner")
    made.write("README", "one\ntwo\nthree\n")
    made.write("src/code.py", "def add(a, b):\n    return a - b\n")
    made.write("src/run.sh", "#!/bin/sh\n", executable=True)
    made.commit("first")
    return made


@pytest.fixture
def traps(tmp_path: Path) -> Traps:
    """Programs that leave a trace when they are run."""
    return Traps(tmp_path / "traps")


@pytest.fixture(autouse=True)
def _no_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Have nothing of the developer's own git count."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
