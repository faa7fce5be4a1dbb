"""Which lines are code of the user's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.arms import ARMS
from benchmarks.arms.protocol import SPLIT
from benchmarks.scoring import user_code
from benchmarks.scoring.user_code import code_lines, lines_of, lines_of_arms

SOURCE = f'''"""A docstring
over two lines."""

import os  # 1


def f(  # 2
    # a comment within
    a: int,  # 3
) -> str:  # 4
    """One more."""
    text = """two
lines"""  # 5 and 6
    return text  # 7


{SPLIT}


def g() -> None:
    os.abort()
'''


def test_by_hand() -> None:
    assert code_lines(SOURCE) == 7


def test_without_a_split_all_of_it_counts() -> None:
    assert code_lines(SOURCE.replace(SPLIT, "# nothing")) == 9


def test_the_split_within_a_string_is_none() -> None:
    assert code_lines(f'text = "{SPLIT}"\nmore = 1\n') == 2


def test_all_files_of_an_arm() -> None:
    assert lines_of({"a.py": "x = 1\n# no\n\ny = 2\n", "prefect.yaml": "# no\n\na: 1\nb:\n  - c\n"}) == 5
    assert lines_of({"a.py": ""}) == 0


def test_arms_are_read_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_code, "_FOLDER", tmp_path)
    sources = 'SOURCES: tuple[str, ...] = ("monolith.py", "more.py")'
    (tmp_path / "monolith.py").write_text(f"import not_there\n{SPLIT}\n{sources}\n")
    (tmp_path / "layered.py").write_text("SOURCES = monolith.SOURCES\n")
    (tmp_path / "more.py").write_text("x = 1\ny = 2\n")
    assert lines_of_arms(["monolith", "an arm of long ago"]) == {"monolith": 3}
    assert lines_of_arms(["layered"]) == {"layered": 3}


@pytest.mark.parametrize("text", ["x = 1\n", "SOURCES = found()\n"])
def test_sources_that_cannot_be_read_are_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_code, "_FOLDER", tmp_path)
    (tmp_path / "monolith.py").write_text(text)
    with pytest.raises(ValueError, match="SOURCES"):
        lines_of_arms(["monolith"])


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_lines_of_its_users(arm: str) -> None:
    spec = importlib.util.find_spec(ARMS[arm].module)
    if spec is None:
        pytest.skip("it is not there")
    assert 10 < lines_of_arms([arm])[arm] < 1000
