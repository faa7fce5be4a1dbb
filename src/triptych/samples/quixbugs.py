"""The 40 Python programs of the public QuixBugs repository as tasks, from a clone on this machine.

The correct versions drive the scripted plans. They are left out of the repository that the agents see: a real model
would find the answers beside the questions.
"""

from __future__ import annotations

from pathlib import Path

from triptych.errors import ConfigurationError
from triptych.fixes import Fix, FixPlan, FixTask
from triptych.records import PlannedCall
from triptych.samples.repositories import make_repository

RUNNER = "run_cases.py"
_SECONDS = 30
_SEEN = ("python_programs/*.py", "json_testcases/*.json", "python_testcases/*.py", "conftest.py")


def load_quixbugs(clone: Path, into: Path) -> list[FixTask]:
    """Make a repository of the buggy programs and their tests, and a task with a plan for each.

    Args:
        clone: A clone of the QuixBugs repository; nothing is written there.
        into: A folder for the repository `quixbugs`, made where it is not there.

    Returns:
        A task for each program, by name; all of them on that one repository.

    Raises:
        ConfigurationError: the clone does not have its layout, or the repository is there already.
    """
    names = _names(clone)
    files = {
        path.relative_to(clone).as_posix(): path.read_bytes()
        for pattern in _SEEN
        for path in sorted(clone.glob(pattern))
        # Scripts that print both versions' results, which need the correct ones.
        if not (path.parent.name == "python_programs" and path.stem.endswith("_test"))
    }
    files |= {
        RUNNER: Path(__file__).with_name("quixbugs_cases.py").read_bytes(),
        ".gitignore": b"__pycache__/\n",
    }
    repository = into.absolute() / "quixbugs"
    make_repository(repository, files)
    return [_task(clone, name, repository) for name in names]


def _names(clone: Path) -> list[str]:
    if not (clone / "python_programs").is_dir() or not (clone / "correct_python_programs").is_dir():
        raise ConfigurationError(
            f"{clone} is no clone of QuixBugs: it has no folders python_programs and correct_python_programs"
        )
    names = sorted(
        path.stem
        for path in (clone / "correct_python_programs").glob("*.py")
        if _has_cases(clone, path.stem) or (clone / "python_testcases" / f"test_{path.stem}.py").is_file()
    )
    if lacking := [name for name in names if not (clone / "python_programs" / f"{name}.py").is_file()]:
        raise ConfigurationError(f"{clone} lacks the buggy versions of {', '.join(lacking)}")
    if not names:
        raise ConfigurationError(f"{clone} holds no program with tests")
    return names


def _has_cases(clone: Path, name: str) -> bool:
    return (clone / "json_testcases" / f"{name}.json").is_file()


def _task(clone: Path, name: str, repository: Path) -> FixTask:
    # Programs over graphs and linked lists have no cases in JSON.
    # No bytecode: a version written within a second of the last, and as long, would be taken for that one.
    pytest = f"python3 -B -m pytest -q -p no:cacheprovider python_testcases/test_{name}.py"
    test = f"timeout -k 1 {_SECONDS} {f'python3 -B {RUNNER} {name}' if _has_cases(clone, name) else pytest}"
    path = f"python_programs/{name}.py"
    correct = (clone / "correct_python_programs" / f"{name}.py").read_text(encoding="utf-8")
    return FixTask(
        name=name,
        repository=str(repository),
        instruction=f"The program {path} has a bug in one line. What it is to do stands in its comment. Fix the bug.",
        test=test,
        plan=FixPlan(
            actions=(
                PlannedCall(name="read_file", arguments={"path": path}),
                PlannedCall(name="write_file", arguments={"path": path, "content": correct}),
                PlannedCall(name="shell", arguments={"command": test}),
            ),
            fix=Fix(outcome="fixed", summary=f"{name} is as its correct version has it."),
        ),
    )
