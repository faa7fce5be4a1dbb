"""Git is run alone: nothing of the environment counts, and it ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.unit.repositories.repository import Repository, Traps
from triptych.errors import ConfigurationError
from triptych.repositories.git import Git
from triptych.repositories.opening import commit_of, has_changes, open_repository, owner_identity


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_trap_is_one(repository: Repository, traps: Traps):
    """Plain git springs them, or the tests that follow would say nothing."""
    traps.plant(repository)
    repository.git("branch", "other")
    # One of the filters fails at its first words, and git with it.
    subprocess.run(["git", "status"], cwd=repository.folder, capture_output=True, check=False)
    assert {"fsmonitor", "clean", "process", "cleanIncluded", "hook-reference-transaction"} <= set(traps.sprung)


async def test_looking_into_a_repository_runs_nothing(repository: Repository, traps: Traps):
    traps.plant(repository)
    opened = await open_repository(repository.folder)
    assert not await has_changes(opened)
    assert await commit_of(opened.git, "main", "") == repository.head()
    assert await owner_identity(repository.folder) == ("Olive Owner", "olive@example.com")
    assert traps.sprung == []


async def test_the_environment_does_not_count(
    repository: Repository, traps: Traps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", traps.program("external"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", traps.program("fsmonitor"))
    (Path(os.environ["HOME"]) / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {traps.program('users')}\n")
    with (Path(os.environ["HOME"]) / ".gitconfig").open("a") as file:
        file.write("[user]\n\tname = Of This Machine\n")
    assert (await Git(tmp_path).ask("config", "--get", "user.name")).stdout == b""
    opened = await open_repository(repository.folder)
    assert opened.objects == repository.folder / ".git" / "objects"
    assert not await has_changes(opened)
    assert traps.sprung == []
    assert not (tmp_path / "trace").exists()


async def test_a_folder_in_a_repository_is_not_its_top(repository: Repository):
    with pytest.raises(ConfigurationError, match="name the folder that holds"):
        await open_repository(repository.folder / "src")


async def test_no_repository_at_all(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="is not the top of a git repository"):
        await open_repository(tmp_path)
    with pytest.raises(ConfigurationError, match="is no folder"):
        await open_repository(tmp_path / "nowhere")


async def test_a_worktree_and_a_bare_repository_are_repositories(repository: Repository, tmp_path: Path):
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    repository.git("clone", "-q", "--bare", repository.path, str(tmp_path / "bare.git"))
    tree, bare = await open_repository(tmp_path / "tree"), await open_repository(tmp_path / "bare.git")
    assert (tree.is_bare, bare.is_bare) == (False, True)
    assert tree.objects == repository.folder / ".git" / "objects"
    assert not await has_changes(bare)
    (tmp_path / "tree" / "README").write_text("changed\n")
    assert await has_changes(tree)
    assert not await has_changes(await open_repository(repository.folder))


async def test_git_that_is_missing_is_said(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="git is not installed"):
        await open_repository(repository.folder)


@pytest.mark.parametrize("ref", ["nothing", "main:README", "", "main^{tree}", "--all"])
async def test_what_is_no_commit(repository: Repository, ref: str):
    opened = await open_repository(repository.folder)
    with pytest.raises(ConfigurationError, match="there is no commit"):
        await commit_of(opened.git, ref, "the repository")


@pytest.mark.parametrize("name", ["user.name", "user.email"])
async def test_an_owner_that_nobody_named(repository: Repository, name: str):
    repository.git("config", "--unset", name)
    with pytest.raises(ConfigurationError, match=f"git config --global {name}"):
        await owner_identity(repository.folder)


async def test_an_owner_may_be_named_for_all_repositories(repository: Repository):
    repository.git("config", "--unset", "user.name")
    (Path(os.environ["HOME"]) / ".gitconfig").write_text("[user]\n\tname = Of This Machine\n")
    assert (await owner_identity(repository.folder)).name == "Of This Machine"


@pytest.mark.timeout(30)
async def test_what_takes_too_long_ends_with_all_that_it_started(tmp_path: Path):
    pid = tmp_path / "pid"
    git = Git(tmp_path, (f"alias.hang=!sleep 600 & echo $! > {pid}; wait",))
    with pytest.raises(ConfigurationError, match="took longer than 1 s"):
        await git.ask("hang", seconds=1)
    while is_running(int(pid.read_text())):
        await asyncio.sleep(0.01)


async def test_what_prints_without_end_is_ended(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="printed more than 100000 bytes"):
        await Git(tmp_path, ("alias.endless=!yes",)).ask("endless", max_bytes=100_000)


async def test_what_it_complains_of_is_short_and_hides_nothing(tmp_path: Path):
    done = await Git(tmp_path, ("alias.complain=!yes 'a\x1b[31mb' | head -100000 >&2; false",)).ask("complain")
    assert done.code == 1
    assert "a<U+001B>[31mb; a" in done.complaint
    assert len(done.complaint) < 400


async def test_a_transport_that_was_not_asked_for_is_none(repository: Repository, traps: Traps, tmp_path: Path):
    program = traps.program("transport")
    for url in (f"ext::{program}", f"file://{repository.folder}", "https://127.0.0.1:9/x"):
        done = await Git(repository.folder).ask("ls-remote", url)
        assert "transport" in done.complaint
        assert "not allowed" in done.complaint
    assert traps.sprung == []
