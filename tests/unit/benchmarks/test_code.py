"""A model's code runs in its folder, within its time, without the arm's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import code
from benchmarks.arms.protocol import MARK


def test_it_tells_what_was_printed_and_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert code.run_here("open('a.txt', 'w').write('kept')\nprint('written')", folder) == "written\n"
    assert code.run_here("print(open('a.txt').read())", folder) == "kept\n"


def test_a_failure_is_told_with_its_reason(tmp_path: Path) -> None:
    said = code.run_here("raise ValueError('no such price')", tmp_path)
    assert said.startswith("Error: it ended with 1\n")
    assert "no such price" in said


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "SECONDS", 0.5)
    assert code.run_here("while True: pass", tmp_path) == "Error: not done after 0.5 s"


def test_the_arms_environment_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hidden")
    monkeypatch.setenv(MARK, "a mark")
    said = code.run_here("import os\nprint('A_SECRET' in os.environ)", tmp_path)
    assert said == "False\n"
    assert code.run_here(f"import os\nprint(os.environ['{MARK}'])", tmp_path) == "a mark\n"
