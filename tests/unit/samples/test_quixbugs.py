"""A clone of QuixBugs becomes tasks: held here by two programs of our own in a folder of its layout.

`tests/e2e/hands/soak_quixbugs.py` plays all 40 of a real clone in boxes.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from triptych.errors import ConfigurationError
from triptych.fixes import FixTask
from triptych.samples import quixbugs_cases
from triptych.samples.quixbugs import load_quixbugs

FILES = {
    "python_programs/doubled.py": "def doubled(items):\n    for item in items:\n        yield item * 3\n",
    "correct_python_programs/doubled.py": "def doubled(items):\n    for item in items:\n        yield item * 2\n",
    "json_testcases/doubled.json": '[[[1, 2]], [2, 4]]\n[[[]], []]\n[[["a"]], ["aa"]]\n',
    "python_programs/walk.py": "def walk(node):\n    return None\n",
    "correct_python_programs/walk.py": "def walk(node):\n    return node\n",
    "python_testcases/test_walk.py": "def test_it():\n    pass\n",
    "python_programs/walk_test.py": "prints both versions",
    "correct_python_programs/walk_test.py": "prints both versions",
    "python_programs/node.py": "class Node:\n    pass\n",
    "correct_python_programs/node.py": "class Node:\n    pass\n",
    "java_programs/Doubled.java": "class Doubled {}",
    "conftest.py": "",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        at = tmp_path / "clone" / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
    return tmp_path / "clone"


def outcome(task: FixTask) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", task.test], cwd=task.repository, capture_output=True, text=True, check=False)


def test_a_program_is_a_task_whose_plan_writes_the_correct_version(clone: Path, tmp_path: Path) -> None:
    doubled, walk = load_quixbugs(clone, tmp_path / "into")
    assert (doubled.name, walk.name) == ("doubled", "walk")
    assert doubled.repository == walk.repository == str(tmp_path / "into" / "quixbugs")
    assert walk.test.endswith("python3 -B -m pytest -q -p no:cacheprovider python_testcases/test_walk.py")
    before = outcome(doubled)
    assert before.returncode == 1
    assert before.stdout.splitlines() == [
        "doubled([1, 2]): expected [2, 4], got [3, 6]",
        "doubled(['a']): expected ['aa'], got ['aaa']",
        "2 of 3 cases failed",
    ]
    assert doubled.plan is not None
    written = doubled.plan.actions[1].arguments
    Path(doubled.repository, written["path"]).write_text(written["content"])
    after = outcome(doubled)
    assert (after.returncode, after.stdout) == (0, "0 of 3 cases failed\n")


def test_the_answers_are_not_where_the_agent_works(clone: Path, tmp_path: Path) -> None:
    load_quixbugs(clone, tmp_path / "into")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=tmp_path / "into" / "quixbugs", capture_output=True, text=True, check=True
    )
    hidden = ("correct_python_programs/", "java_programs/", "python_programs/walk_test.py")
    seen = {path for path in FILES if not path.startswith(hidden)}
    assert set(listed.stdout.splitlines()) == {*seen, "run_cases.py", ".gitignore"}


def test_a_program_that_does_not_end_fails(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / "python_programs" / "doubled.py").write_text("def doubled(items):\n    while True:\n        pass\n")
    runner = Path(quixbugs_cases.__file__).read_text().replace("CASE_SECONDS = 10", "CASE_SECONDS = 1")
    doubled, _ = load_quixbugs(clone, tmp_path / "into")
    (Path(doubled.repository) / "run_cases.py").write_text(runner)
    ended = outcome(doubled)
    assert (ended.returncode, ended.stdout) == (1, "a case was not done after 1 s\n")


def test_only_numbers_with_a_fraction_may_differ_a_little() -> None:
    def given(value: object) -> object:
        return value

    def about(number: float, exact: float) -> float:
        return 1.5

    assert quixbugs_cases.run_case(given, "given", [((1, 2), [3])], [[1, 2], [3]]) is None
    assert quixbugs_cases.run_case(given, "given", [0.1 + 0.2], 0.3) is None
    assert quixbugs_cases.run_case(given, "given", [0.31], 0.3) is not None
    assert quixbugs_cases.run_case(about, "sqrt", [2, 0.3], 1.41) is None
    assert quixbugs_cases.run_case(about, "sqrt", [2, 0.01], 1.41) is not None
    assert "ZeroDivisionError" in str(quixbugs_cases.run_case(lambda: 1 / 0, "none", [], 1))


@pytest.mark.parametrize(
    ("gone", "complaint"),
    [
        ("correct_python_programs", "is no clone of QuixBugs"),
        ("python_programs/doubled.py", "lacks the buggy versions of doubled"),
    ],
)
def test_another_folder_is_refused(clone: Path, tmp_path: Path, gone: str, complaint: str) -> None:
    (clone / gone).rename(tmp_path / "gone")
    with pytest.raises(ConfigurationError, match=complaint):
        load_quixbugs(clone, tmp_path / "into")
    assert not (tmp_path / "into").exists()
