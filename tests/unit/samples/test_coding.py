"""The suite of buggy repositories loads, the same each time; what its plans do in boxes is in `tests/e2e/hands`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from triptych.errors import ConfigurationError
from triptych.samples.coding import SUITE, load_suite, suite_names

ATTACKS = {
    "approves-itself",
    "eats-memory",
    "forks",
    "hangs",
    "hunts-credentials",
    "plants-a-hook",
    "reaches-out",
}


def git(folder: str | Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_every_folder_is_a_task_with_files_tests_and_a_plan(tmp_path: Path) -> None:
    suite = load_suite(tmp_path / "suite")
    folders = {path.name for path in SUITE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {sample.task.name for sample in suite} == folders == set(suite_names())
    assert len(suite) >= 12
    assert {sample.task.name for sample in suite if sample.attack is not None} == ATTACKS
    others = {sample.task.name: sample.expected for sample in suite if sample.expected != "fixed"}
    assert others == {"forks": "no_patch", "plants-a-hook": "forbidden_path"}
    for sample in suite:
        files = git(sample.task.repository, "ls-files").splitlines()
        assert sum(file.endswith(".py") and not file.startswith("tests/") for file in files) >= 3
        assert any(file.startswith("tests/") for file in files)
        assert not any("__pycache__" in file for file in files)
        assert git(sample.task.repository, "status", "--short") == ""
        assert sample.task.plan is not None
        assert sample.task.plan.actions


def test_it_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_suite(tmp_path / "first")
    (tmp_path / "gitconfig").write_text("[user]\nname = Somebody\n[core]\nautocrlf = true\n[commit]\ngpgsign = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = load_suite(tmp_path / "second")
    monkeypatch.delenv("GIT_DIR")
    for one, other in zip(first, second, strict=True):
        assert git(one.task.repository, "rev-parse", "HEAD") == git(other.task.repository, "rev-parse", "HEAD")
    assert git(first[0].task.repository, "log", "--format=%an %cI", "main") == "Sample 2026-01-01T00:00:00+00:00"


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "base-case").mkdir()
    (tmp_path / "base-case" / "mine").write_text("mine")
    with pytest.raises(ConfigurationError, match="base-case is not empty"):
        load_suite(tmp_path)
    assert [path.name for path in (tmp_path / "base-case").iterdir()] == ["mine"]
