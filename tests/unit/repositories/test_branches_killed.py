"""What happens while a patch is applied.

A process that dies it applies a patch, at each step of it: done again, there is one branch, and the same. And somebody
who makes a branch of that name at the last moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.repositories.repository import Repository
from tests.unit.repositories.test_branches import BRANCH, a_fix, apply
from triptych.repositories.records import Applied, Refused

CHILD = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from triptych.repositories.branches import apply_to_branch
from triptych.repositories.opening import Identity
folder, base, patch, branch = sys.argv[1:]
signed = {"identity": Identity("Olive Owner", "olive@example.com"), "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
asyncio.run(apply_to_branch(folder, base, Path(patch).read_bytes(), branch, "Fix it\\n", **signed))
"""


def a_git_that(tmp_path: Path, does: str) -> str:
    """Return a PATH with a git that does something before it is git, in words of a shell; `{git}` is the real one."""
    git = shutil.which("git")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\n{does.replace("{git}", str(git))}\nexec {git} "$@"\n')
    (programs / "git").chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("word", ["apply", "write-tree", "unpack-objects", "update-ref", "update-ref, done"])
async def test_killed_on_the_way_and_done_again(repository: Repository, tmp_path: Path, word: str):
    patch = a_fix(repository)
    (tmp_path / "patch").write_bytes(patch)
    before = '{git} "$@";' if word.endswith("done") else ""
    path = a_git_that(tmp_path, f'case "$* " in *" {word.partition(",")[0]} "*) {before} kill -9 $PPID; exit 1 ;; esac')
    state = repository.state()
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, repository.path, repository.head(), str(tmp_path / "patch"), BRANCH],
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    was_done = word.endswith("done")
    assert repository.branches() == ([BRANCH] if was_done else [])
    done = await apply(repository, patch)
    assert isinstance(done, Applied)
    assert done.was_there == was_done
    assert repository.branches() == [BRANCH]
    assert repository.git("fsck", "--full", "--strict") == ""
    after = repository.state()
    assert (after["files"], after["inside"]) == (state["files"], state["inside"])


@pytest.mark.parametrize("theirs", ["HEAD", "HEAD^"])
async def test_a_branch_that_somebody_makes_at_the_last_moment(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str
):
    repository.commit("second")
    patch = a_fix(repository)
    does = f'case "$*" in *" update-ref "*) {{git}} branch {BRANCH} {theirs} ;; esac'
    monkeypatch.setenv("PATH", a_git_that(tmp_path, does))
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert (done.kind, "is not moved" in done.reason) == ("branch", True)
    assert repository.git("rev-parse", BRANCH) == repository.git("rev-parse", theirs)
