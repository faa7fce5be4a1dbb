"""Repositories on their way into a box: one archive of one commit, the same each time, with nothing else in it."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.repositories.repository import Repository, Traps
from triptych.errors import ConfigurationError
from triptych.repositories.sources import check_ref, pack_repository, parse_source


def unpacked(archive: Path, into: Path) -> Repository:
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on
            tar.extraction_filter = staticmethod(tarfile.data_filter)
        tar.extractall(into / "unpacked")
    made = Repository.__new__(Repository)
    made.folder = into / "unpacked"
    return made


@pytest.mark.parametrize(
    ("repository", "over"),
    [
        ("https://example.com/a/b.git", "https"),
        ("https://example.com:8443/a", "https"),
        ("ssh://git@example.com:22/a/b", "ssh"),
        ("ssh://example.com/~me/b", "ssh"),
        ("git@example.com:a/b.git", "ssh"),
    ],
)
def test_urls_of_elsewhere(repository: str, over: str):
    assert parse_source(repository) == (None, repository, over)


@pytest.mark.parametrize(
    ("repository", "path"),
    [("/a/b", "/a/b"), ("a b", "a b"), ("file:///a%20b", "/a b"), ("file://localhost/a", "/a"), ("./x:y", "x:y")],
)
def test_paths(repository: str, path: str):
    assert parse_source(repository) == (Path(path), None, "")


@pytest.mark.parametrize(
    "repository",
    [
        "",
        "-x",
        "--upload-pack=touch /tmp/x",
        "ext::sh -c id",
        "fd::17",
        "http::https://example.com/a",
        "http://example.com/a",
        "git://example.com/a",
        "ftp://example.com/a",
        "file://elsewhere/a",
        "https://",
        "https:///a",
        "https://example.com",
        "https://example.com/",
        "https://example.com/-a",
        "https://example.com/a?x=1",
        "https://example.com:port/a",
        "https://-example.com/a",
        "https://exa mple.com/a",
        "ssh://-oProxyCommand=id/a",
        "ssh://-oProxyCommand=id@example.com/a",
        "ssh://git@-oProxyCommand=id/a",
        "/a\nb",
        "/a\x1b[31m",
        "/a\u202eb",
    ],
)
def test_what_is_no_repository(repository: str):
    with pytest.raises(ConfigurationError):
        parse_source(repository)


@pytest.mark.parametrize("url", ["https://me:hunter2@example.com/a", "https://hunter2@example.com/a"])
def test_a_credential_in_a_url_is_refused_and_not_repeated(url: str):
    with pytest.raises(ConfigurationError, match=r"\.netrc") as raised:
        parse_source(url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("ref", ["main", "v1.0", "a/b", "HEAD~2", "0123abc", "bücher", "HEAD^", "main@{1}"])
def test_refs(ref: str):
    check_ref(ref)


@pytest.mark.parametrize("ref", ["", "-x", "--all", "a b", "a:b", "+a", "^a", "a..b", "a*", "a\n", "a\\b", "@{u}"])
async def test_what_is_no_ref(ref: str, repository: Repository, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="names no commit"):
        await pack_repository(repository.path, ref, tmp_path / "x.tar")


async def test_what_is_in_the_archive(repository: Repository, tmp_path: Path):
    repository.write("link", "")
    (repository.folder / "link").unlink()
    (repository.folder / "link").symlink_to("src/code.py")
    names = ["-dash", 'quo"te', "new\nline", "bücher", "a b", "dir/with/more"]
    for name in names:
        repository.write(name, f"{name}\r\n")
    repository.git("tag", "first", repository.head())
    second = repository.commit("second")
    packed = await pack_repository(repository.path, "main", tmp_path / "x.tar")
    content = (tmp_path / "x.tar").read_bytes()
    assert (packed.commit, packed.tree) == (second, repository.git("rev-parse", "main^{tree}"))
    assert (packed.digest, packed.bytes) == (sha256(content).hexdigest(), len(content))
    assert (packed.is_dirty, packed.submodules, packed.has_whole_history) == (False, (), False)
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    assert inside.git("status", "--porcelain", "--branch", "--ignored") == "## main"
    assert inside.git("log", "--format=%H %s") == f"{second} second"
    assert inside.git("fsck", "--full", "--strict") == ""
    assert inside.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    for name in names:
        assert (inside.folder / name).read_bytes() == f"{name}\r\n".encode()
    assert (inside.folder / "link").readlink() == Path("src/code.py")
    assert (inside.folder / "src" / "run.sh").stat().st_mode & 0o111
    assert not (inside.folder / "src" / "code.py").stat().st_mode & 0o111


async def test_git_holds_nothing_else(repository: Repository, traps: Traps, tmp_path: Path):
    repository.git("remote", "add", "origin", "https://me:hunter2@example.com/a")
    repository.git("config", "credential.https://example.com.username", "hunter2")
    secret = repository.commit("with hunter2")
    repository.git("branch", "hunter2-branch")
    repository.git("reset", "-q", "--hard", "HEAD~1")
    traps.plant(repository)
    await pack_repository(repository.path, "main", tmp_path / "x.tar")
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    found = {str(path.relative_to(inside.folder)) for path in inside.folder.rglob("*") if path.is_file()}
    [pack] = [name.removesuffix(".pack") for name in found if name.endswith(".pack")]
    git = {f".git/{name}" for name in ("HEAD", "config", "index", "refs/heads/main", "shallow")}
    assert found == {"README", "src/code.py", "src/run.sh", *git, f"{pack}.pack", f"{pack}.idx"}
    assert b"hunter2" not in (tmp_path / "x.tar").read_bytes()
    assert inside.git("config", "--local", "--list").splitlines() == [
        "core.repositoryformatversion=0",
        "core.filemode=true",
        "core.bare=false",
    ]
    assert secret not in inside.git("rev-list", "--all", "--objects")
    assert traps.sprung == []


async def test_no_filter_runs_for_what_a_commit_says_of_itself(repository: Repository, traps: Traps, tmp_path: Path):
    repository.write(".gitattributes", "*.py filter=evil diff=evil\n*.txt text eol=crlf\nREADME export-ignore\n")
    repository.write("a.txt", "one\n")
    repository.commit("attributes")
    traps.plant(repository)
    await pack_repository(repository.path, "main", tmp_path / "x.tar")
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    assert (inside.folder / "src" / "code.py").read_text() == "def add(a, b):\n    return a - b\n"
    # As git itself would write it, and as it takes it back.
    assert (inside.folder / "a.txt").read_bytes() == b"one\r\n"
    assert (inside.folder / "README").exists()
    assert inside.git("status", "--porcelain") == ""
    assert traps.sprung == []


async def test_the_same_commit_is_the_same_archive(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for number in range(30):
        repository.write(f"many/{number}", "".join(f"{line * number}\n" for line in range(100)))
        repository.commit(f"{number}")
    for whole in (False, True):
        first = await pack_repository(repository.path, "main", tmp_path / "1.tar", whole_history=whole)
        clone = tmp_path / f"clone-{whole}"
        repository.git("clone", "-q", "--bare", f"file://{repository.folder}", str(clone))
        repository.git("-C", str(clone), "repack", "-adfq", "--depth=5", "--write-bitmap-index")
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        again = await pack_repository(str(clone), repository.head(), tmp_path / "2.tar", whole_history=whole)
        assert first == again
        assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


async def test_the_whole_history_where_it_is_wanted(repository: Repository, tmp_path: Path):
    second = repository.commit("second")
    packed = await pack_repository(repository.path, "main", tmp_path / "x.tar", whole_history=True)
    assert (packed.commit, packed.has_whole_history) == (second, True)
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    assert inside.git("log", "--format=%s").splitlines() == ["second", "first"]
    assert not (inside.folder / ".git" / "shallow").exists()


@pytest.mark.parametrize("whole", [False, True])
async def test_a_history_that_was_cut_off_before(repository: Repository, tmp_path: Path, whole: bool):
    repository.commit("second")
    repository.commit("third")
    cut = tmp_path / "cut"
    repository.git("clone", "-q", "--depth=2", f"file://{repository.folder}", str(cut))
    await pack_repository(str(cut), "main", tmp_path / "x.tar", whole_history=whole)
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    assert inside.git("log", "--format=%s").splitlines() == (["third", "second"] if whole else ["third"])
    assert inside.git("fsck", "--full") == ""


async def test_it_is_the_commit_that_is_taken(repository: Repository, tmp_path: Path):
    repository.write("README", "changed\n")
    repository.write("new", "new\n")
    before = repository.state()
    packed = await pack_repository(repository.path, "main", tmp_path / "x.tar")
    assert packed.is_dirty
    assert repository.state() == before
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    assert (inside.folder / "README").read_text() == "one\ntwo\nthree\n"
    assert not (inside.folder / "new").exists()


async def test_a_file_that_git_does_not_know_makes_nothing_dirty(repository: Repository, tmp_path: Path):
    repository.write("new", "new\n")
    assert (await pack_repository(repository.path, "main", tmp_path / "x.tar")).is_dirty is False


async def test_submodules_are_empty_and_named(repository: Repository, tmp_path: Path):
    repository.write(".gitmodules", '[submodule "sub"]\n\tpath = sub\n\turl = ext::touch\n')
    repository.git("add", "-A")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{repository.head()},sub")
    (repository.folder / "sub").mkdir()
    repository.git("commit", "-qm", "submodule")
    packed = await pack_repository(repository.path, "main", tmp_path / "x.tar")
    assert packed.submodules == ("sub",)
    inside = unpacked(tmp_path / "x.tar", tmp_path)
    assert list((inside.folder / "sub").iterdir()) == []
    assert inside.git("status", "--porcelain") == ""


async def test_a_link_out_of_the_repository_stays_a_link(repository: Repository, tmp_path: Path):
    (tmp_path / "secret").write_text("hunter2")
    (repository.folder / "link").symlink_to("../secret")
    repository.commit("link")
    await pack_repository(repository.path, "main", tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getmember("link").linkname == "../secret"
    assert b"hunter2" not in (tmp_path / "x.tar").read_bytes()


def _reset(repository: Repository) -> None:
    repository.git("update-ref", "-d", "refs/heads/main")


def _damage(repository: Repository) -> None:
    blob = repository.git("rev-parse", "HEAD:README")
    (repository.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


@pytest.mark.parametrize(("spoil", "fault"), [(_reset, "there is no commit 'main'"), (_damage, "missing or damaged")])
async def test_a_repository_that_cannot_be_read(
    repository: Repository, tmp_path: Path, spoil: Callable[[Repository], None], fault: str
):
    spoil(repository)
    with pytest.raises(ConfigurationError, match=fault):
        await pack_repository(repository.path, "main", tmp_path / "x.tar")
    assert list(tmp_path.glob("*.tar*")) == []


async def test_one_that_is_too_large_is_not_written(repository: Repository, tmp_path: Path):
    repository.write("large", b"x" * 1000)
    repository.commit("large")
    with pytest.raises(ConfigurationError, match="more than 999"):
        await pack_repository(repository.path, "main", tmp_path / "x.tar", max_bytes=999)
    assert list(tmp_path.glob("*.tar*")) == []


SSH = """#!/bin/sh
# What a server would do: the last word is the command, after options and the host.
echo "$@" >> "$HOME/ssh"
for last; do :; done
exec env -i PATH="$PATH" sh -c "$last"
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host that can be reached by ssh: this one. Returns what it was called with."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(SSH)
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "home" / "ssh"


@pytest.mark.parametrize("whole", [False, True])
async def test_from_elsewhere_it_is_the_same_archive(repository: Repository, tmp_path: Path, ssh: Path, whole: bool):
    second = repository.commit("second")
    repository.git("tag", "-am", "annotated", "v1")
    here = await pack_repository(repository.path, "main", tmp_path / "1.tar", whole_history=whole)
    for base in ("main", "HEAD", "v1", second):
        there = await pack_repository(
            f"ssh://git@host{repository.folder}", base, tmp_path / "2.tar", whole_history=whole
        )
        assert there == here.model_copy(update={"is_dirty": None})
    assert "-oBatchMode=yes" in ssh.read_text()


@pytest.mark.usefixtures("ssh")
@pytest.mark.parametrize("base", ["nothing", "main~1"])
async def test_from_elsewhere_there_must_be_such_a_name(repository: Repository, tmp_path: Path, base: str):
    repository.commit("second")
    with pytest.raises(ConfigurationError, match="cannot be fetched"):
        await pack_repository(f"git@host:{repository.folder}", base, tmp_path / "x.tar")
