"""Make a commit of a patch, beside the repository that it is for: no file is written and no program is run."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from triptych.errors import ConfigurationError
from triptych.repositories.git import Git
from triptych.repositories.opening import Identity, tree_of
from triptych.repositories.patches import Touched, why_not
from triptych.repositories.paths import Forbidden
from triptych.repositories.reading import LINK
from triptych.repositories.records import PatchSummary, Refused

_ENTRY = 2
"""Fields of what `diff-tree` says of a path: about it, and the path."""


class Commit(NamedTuple):
    """A commit and its tree."""

    commit: str
    tree: str


async def commit_patch(
    git: Git,
    base_commit: str,
    patch: bytes,
    summary: PatchSummary,
    forbidden: Forbidden,
    message: str,
    identity: Identity,
    when: datetime,
) -> Commit | Refused:
    """Make a commit of an inspected patch on its base commit; the same arguments make the same commit.

    What it changes is read from the trees once more, whatever the patch says of itself.

    Args:
        git: Of a bare repository for a while, with the base commit's objects.
        base_commit: What the patch was made on.
        patch: One that `inspect` let through.
        summary: What it said of it.
        forbidden: Paths that the policy keeps.
        message: Of the commit.
        identity: Author and committer.
        when: Of the commit; whole seconds count.

    Raises:
        ConfigurationError: the base commit cannot be read, or git does not accept the identity.
    """
    base_tree = await tree_of(git, base_commit)
    await git.run("read-tree", base_tree, fault=f"the commit {base_commit} cannot be read whole")
    done = await git.ask("apply", "--cached", "--whitespace=nowarn", "-", stdin=patch)
    if done.code != 0:
        reason = f"the patch does not fit its base commit {base_commit[:12]}: {done.complaint}"
        return Refused(kind="conflict", reason=reason)
    tree = (await git.run("write-tree", fault="the patch makes no tree that git keeps")).decode().strip()
    if tree == base_tree:
        return Refused(kind="empty", reason="the patch changes nothing")
    touched = await _touched(git, base_tree, tree)
    named = {path for file in summary.files for path in (file.path, file.old_path)}
    if any(each.path.decode(errors="surrogateescape") not in named for each in touched):
        return Refused(kind="malformed", reason="the patch changes other files than it says")
    if refused := why_not(touched, forbidden):
        return refused
    if when.tzinfo is None:
        raise ConfigurationError("the time of a commit needs a time zone")
    date = f"@{int(when.timestamp())} +0000"
    signed = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", identity.name), ("EMAIL", identity.email), ("DATE", date))
    }
    commit = await Git(git.folder, git.settings, {**git.variables, **signed}).run(
        *("commit-tree", tree, "-p", base_commit, "-F", "-"),
        stdin=message.encode(),
        fault=f"git makes no commit of {identity.name!r} <{identity.email}>: see user.name and user.email",
    )
    return Commit(commit.decode().strip(), tree)


async def _touched(git: Git, old: str, new: str) -> list[Touched]:
    """Return every path that differs between two trees, as the new one has it."""
    fault = f"the trees {old} and {new} cannot be compared"
    fields = (await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new, fault=fault)).split(b"\0")[:-1]
    found: list[Touched] = []
    for about, path in zip(fields[::_ENTRY], fields[1::_ENTRY], strict=True):
        old_mode, new_mode, _, blob, _ = about.removeprefix(b":").decode().split()
        is_gone = new_mode == "000000"
        target = await git.run("cat-file", "blob", blob, fault=f"{blob} cannot be read") if new_mode == LINK else None
        found.append(Touched(path, old_mode if is_gone else new_mode, target))
    return found
