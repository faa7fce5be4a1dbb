"""Where a task's repository comes from, and how it gets into a box: as one archive, made here, of one commit."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from triptych.errors import ConfigurationError
from triptych.repositories.git import Git
from triptych.repositories.opening import beside, commit_of, has_changes, make, open_repository, tree_of
from triptych.repositories.records import PackedRepository
from triptych.repositories.showing import visible

MAX_BYTES = 2 * 1024 * 1024 * 1024
"""Of a repository's files at one commit."""
FETCH_SECONDS = 600.0
_TIME = 946684800
"""Of everything in an archive, the year 2000: a fixed one, and not before 1980, which zip files do not know."""
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_SCP = re.compile(rf"{_USER}@{_HOST}:(?!-)\S+")
_REF = re.compile(r"(?![-+^])(?!.*(?:\.\.|@\{u|@\{p))[^\x00-\x20\x7f:?*\[\\]+")


class Source(NamedTuple):
    """A repository as a task names it: on this machine, or elsewhere."""

    path: Path | None
    url: str | None
    over: str = ""
    """The transport of a URL: `https` or `ssh`."""


def parse_source(repository: str) -> Source:
    """Return what a path or URL means; nothing is looked up.

    Raises:
        ConfigurationError: it is neither, names a transport that runs programs or hides nothing, or holds a password.
    """
    shown = visible(repository)
    if not repository or repository.startswith("-") or shown != repository or "\t" in repository:
        raise ConfigurationError(f"{shown!r} names no repository: write a path, or a URL with https or ssh")
    if re.match(r"[A-Za-z0-9+.-]+::", repository):
        raise ConfigurationError(
            f"{shown!r} names a program as its transport: write a path, or a URL with https or ssh"
        )
    if "://" in repository:
        return _parse_url(repository)
    if _SCP.fullmatch(repository):
        return Source(None, repository, "ssh")
    return Source(Path(repository).expanduser(), None)


def _parse_url(repository: str) -> Source:
    try:
        parts = urlsplit(repository)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError as error:
        raise ConfigurationError(f"the URL of a repository cannot be read: {error}") from None
    # Never shown whole: what is wrong with it may be a password.
    shown = f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ConfigurationError(f"{shown} names no file of this machine: write file:///path")
        return Source(Path(unquote(parts.path)), None)
    if parts.scheme not in ("https", "ssh"):
        raise ConfigurationError(f"{shown}: only https, ssh and paths of this machine are fetched from")
    user = rf"(?:{_USER}@)?" if parts.scheme == "ssh" else ""
    if parts.password is not None or (parts.username is not None and not user):
        raise ConfigurationError(
            f"{shown} was given with a credential, which would be kept with the run: leave it out, and put it into "
            "~/.netrc, or use ssh with an agent"
        )
    if not re.fullmatch(rf"{user}{_HOST}(?::[0-9]+)?", parts.netloc) or parts.query or parts.fragment:
        raise ConfigurationError(f"{shown} is no URL of a repository")
    if not re.fullmatch(r"/[^\s-]\S*", parts.path):
        raise ConfigurationError(f"{shown} names a host and no repository on it")
    return Source(None, repository, parts.scheme)


def check_ref(ref: str) -> None:
    """Raise unless this may name a commit: a branch, a tag, a commit, or one so many before (`main~2`).

    Raises:
        ConfigurationError: it may not, or it could be read as an option or as more than one.
    """
    if not _REF.fullmatch(ref):
        raise ConfigurationError(f"{visible(ref)!r} names no commit: write a branch, a tag or a commit")


async def pack_repository(
    repository: str,
    base: str,
    into: Path,
    *,
    whole_history: bool = False,
    max_bytes: int = MAX_BYTES,
) -> PackedRepository:
    """Write a commit of a repository as a tar archive: its files, and a `.git` that holds that commit on `main`.

    There is no remote in it, no hook, no credential and nothing of the repository's configuration. The same commit
    gives the same archive, byte for byte, wherever it came from, as long as git stays the same. Submodules are not
    fetched: their folders are empty. Large files (LFS) are what is committed, the pointers. Files that differ from
    their commit do not matter, and are reported.

    Args:
        repository: A path; a `file`, `https` or `ssh` URL; or `user@host:path`. What asks for a credential over https
            finds it in `~/.netrc`, over ssh with an agent or a key without a password.
        base: A branch, tag or commit; of a URL one that its server gives out by name.
        into: The archive's file. It is there whole or not at all.
        whole_history: Whether the commits before it are in it too.
        max_bytes: Of its files; more are refused before they are written.

    Raises:
        ConfigurationError: there is no such repository or commit, it cannot be fetched, or it is too large.
    """
    check_ref(base)
    async with objects_of(repository, base, whole_history=whole_history) as (git, commit, is_dirty):
        submodules = await _look_through(git, commit, repository, max_bytes)
        tree = await tree_of(git, commit)
        with tempfile.TemporaryDirectory(prefix="triptych-pack-") as name:
            folder = Path(name).resolve()
            await _lay_out(git, commit, folder, whole_history)
            unfinished = into.with_name(f"{into.name}.tmp")
            size, digest = await asyncio.to_thread(_archive, folder, unfinished)
            unfinished.replace(into)
    return PackedRepository(
        commit=commit,
        tree=tree,
        digest=digest,
        bytes=size,
        is_dirty=is_dirty,
        submodules=submodules,
        has_whole_history=whole_history,
    )


@asynccontextmanager
async def objects_of(
    repository: str, base: str, *, whole_history: bool = False
) -> AsyncGenerator[tuple[Git, str, bool | None]]:
    """Make a bare repository for a while that has the objects of another's commit.

    Yields:
        The repository, the commit that `base` names, and whether its files on this machine differ from their commit;
        None where it is elsewhere.

    Raises:
        ConfigurationError: there is no such repository or commit, or it cannot be fetched.
    """
    check_ref(base)
    source = parse_source(repository)
    if source.path is not None:
        opened = await open_repository(source.path)
        commit = await commit_of(opened.git, base, str(source.path))
        async with beside(opened) as git:
            yield git, commit, await has_changes(opened)
        return
    assert source.url is not None
    async with beside(None) as git:
        depth = [] if whole_history else ["--depth=1"]
        options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"]
        fault = f"{base} of {source.url} cannot be fetched: see that both exist and that you may read them"
        await git.run(
            *("fetch", *options, *depth, "--", source.url, f"{base}:refs/fetched"),
            fault=fault,
            seconds=FETCH_SECONDS,
            over=source.over,
        )
        yield git, await commit_of(git, "refs/fetched", source.url), None


async def _look_through(git: Git, commit: str, repository: str, max_bytes: int) -> tuple[str, ...]:
    """Return the submodules' paths, once it is known that the files are not too large."""
    fault = f"{repository} at {commit} cannot be read whole: an object is missing or damaged (git fsck)"
    listed = await git.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit, fault=fault)
    size = 0
    submodules: list[str] = []
    for line in listed.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        _, kind, _, length = about.split()
        if kind == b"commit":
            submodules.append(visible(path.decode(errors="backslashreplace")))
        elif not length.isdigit():
            raise ConfigurationError(fault)
        else:
            size += int(length)
    if size > max_bytes:
        raise ConfigurationError(f"{repository} at {commit[:12]} has {size} bytes of files, more than {max_bytes}")
    return tuple(submodules)


async def _lay_out(git: Git, commit: str, folder: Path, whole_history: bool) -> None:
    """Write the commit's files and its `.git` into an empty folder; no program of anybody's is run on them."""
    fault = f"{commit} cannot be written as files"
    own = Git(folder, ("core.logAllRefUpdates=false",))
    object_format = await git.run("rev-parse", "--show-object-format", fault=fault)
    await make(own, bare=False, object_format=object_format.decode().strip())
    packs = folder / ".git" / "objects" / "pack"
    packs.mkdir(exist_ok=True)
    revisions = f"{commit}\n" if whole_history else f"--shallow {commit}\n{commit}\n"
    # Packed anew in one way, whatever way the objects lie about in the repository they come from.
    options = ["--quiet", "--revs", "--no-reuse-object", "--threads=1"]
    if not whole_history:
        # Each file is there once, so there is nothing that it would be like.
        options.append("--window=0")
    await git.run(
        *("pack-objects", *options, "--compression=1", str(packs / "pack")),
        stdin=revisions.encode(),
        fault=fault,
        seconds=FETCH_SECONDS,
    )
    shallow = git.folder / "shallow"
    if not whole_history:
        (folder / ".git" / "shallow").write_text(f"{commit}\n")
    elif shallow.is_file():
        (folder / ".git" / "shallow").write_bytes(shallow.read_bytes())
    await own.run("update-ref", "refs/heads/main", commit, fault=fault)
    await own.run("read-tree", commit, fault=fault)
    # Without `-u`: the index keeps nothing about the files, so that it is the same each time.
    await own.run("checkout-index", "--all", "--quiet", fault=fault, seconds=FETCH_SECONDS)


def _archive(folder: Path, into: Path) -> tuple[int, str]:
    """Write a folder as a tar archive that says nothing of this machine; return its size and digest."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(into, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for path in _below(folder):
            member = tar.gettarinfo(path, arcname=str(path.relative_to(folder)))
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = _TIME
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            if member.isreg():
                with path.open("rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)
    with into.open("rb") as file:
        return into.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
