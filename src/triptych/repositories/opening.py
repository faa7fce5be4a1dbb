"""Open a repository that is somebody's, and work beside it: with its objects, and with nothing else of it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from triptych.errors import ConfigurationError
from triptych.repositories.git import Git
from triptych.repositories.showing import visible


class Identity(NamedTuple):
    """Whose commits they are."""

    name: str
    email: str


class Opened(NamedTuple):
    """A repository of this machine's, as it stands."""

    git: Git
    """Runs in it. For reading, and for what is added to it at the very end."""
    objects: Path
    shallow: Path
    """The file that says where its history was cut off; there is none where it is whole."""
    object_format: str
    is_bare: bool


async def open_repository(folder: Path) -> Opened:
    """Open the repository whose top is a folder; a bare one and a worktree of another will do as well.

    Raises:
        ConfigurationError: it is none, or git does not trust whose it is.
    """
    folder = folder.resolve()
    if visible(str(folder)) != str(folder):
        raise ConfigurationError(f"the path {visible(str(folder))!r} holds characters that a path should not")
    fault = f"{folder} is not the top of a git repository that is yours: name the folder that holds .git"
    git = Git(folder)
    # Filters would be run on files whose time stamps changed.
    named = await git.ask("config", "-z", "--name-only", "--get-regexp", r"^filter\.")
    if named.code not in (0, 1):
        raise ConfigurationError(f"{fault} ({named.complaint})")
    names = [name for name in named.stdout.decode(errors="surrogateescape").split("\0") if name]
    if any("=" in name for name in names):
        raise ConfigurationError(f"a filter in the configuration of {folder} has an equals sign in its name: rename it")
    git = Git(folder, tuple(f"{name}={'false' if name.endswith('.required') else ''}" for name in names))
    told = await git.run(
        "rev-parse",
        "--path-format=absolute",
        "--is-bare-repository",
        "--show-object-format",
        "--git-path",
        "objects",
        "--git-path",
        "shallow",
        fault=fault,
    )
    is_bare, object_format, objects, shallow = told.decode().splitlines()
    return Opened(git, Path(objects), Path(shallow), object_format, is_bare == "true")


async def commit_of(git: Git, ref: str, where: str) -> str:
    """Return the commit that a ref of a repository names.

    Raises:
        ConfigurationError: there is no such ref, or it names something else.
    """
    fault = f"there is no commit {visible(ref)!r} in {where}: name a branch, a tag or a commit of it"
    found = await git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", fault=fault)
    return found.decode().strip()


async def tree_of(git: Git, commit: str) -> str:
    """Return the tree of a commit that is there."""
    found = await git.run("rev-parse", "--verify", f"{commit}^{{tree}}", fault=f"the tree of {commit} cannot be read")
    return found.decode().strip()


async def has_changes(opened: Opened) -> bool:
    """Whether tracked files differ from the last commit; submodules are not looked into, new files do not count."""
    if opened.is_bare:
        return False
    fault = f"the state of {opened.git.folder} cannot be read"
    options = ("--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all")
    return bool(await opened.git.run("status", *options, fault=fault))


async def owner_identity(repository: Path) -> Identity:
    """Return whose commits those in a repository are, by its own configuration and by this user's.

    Raises:
        ConfigurationError: it is no repository, or neither says so.
    """
    git = (await open_repository(repository)).git
    found: dict[str, str] = {}
    for name in ("user.name", "user.email"):
        done = await git.ask("config", "-z", "--get", name, own_configuration=True)
        found[name] = done.stdout.decode(errors="replace").rstrip("\0").strip()
        if not found[name]:
            raise ConfigurationError(
                f"git does not know whose commits in {git.folder} are to be: set it with "
                f"`git config --global {name} ...`, or without --global in {git.folder}"
            )
    return Identity(found["user.name"], found["user.email"])


@asynccontextmanager
async def beside(opened: Opened | None, object_format: str = "sha1") -> AsyncGenerator[Git]:
    """Make an empty bare repository for a while that sees a repository's objects and adds none to them.

    Nothing of the other's configuration, attributes, hooks and refs counts in it.

    Args:
        opened: Whose objects; None for one with none.
        object_format: Of one with none.
    """
    with tempfile.TemporaryDirectory(prefix="triptych-git-") as name:
        folder = Path(name).resolve() / "scratch.git"
        folder.mkdir()
        git = Git(folder)
        await make(git, bare=True, object_format=opened.object_format if opened else object_format)
        if opened is not None:
            (folder / "objects" / "info").mkdir(exist_ok=True)
            (folder / "objects" / "info" / "alternates").write_text(f"{opened.objects}\n")
            if opened.shallow.is_file():
                (folder / "shallow").write_bytes(opened.shallow.read_bytes())
        yield git


async def make(git: Git, *, bare: bool, object_format: str) -> None:
    """Make an empty repository, with no hook in it."""
    options = ["--quiet", "--template=", "--initial-branch=main", f"--object-format={object_format}"]
    await git.run("init", *options, *(["--bare"] if bare else []), fault=f"no repository can be made in {git.folder}")
