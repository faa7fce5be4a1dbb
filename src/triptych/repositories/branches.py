"""Put a patch onto a branch of its own in the owner's repository, and touch nothing else there.

The commit is made beside the repository. What is added to it are the commit's objects and one branch, which did not
exist before: no file, no index, no other branch and no HEAD changes, no hook and no filter runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from triptych.errors import ConfigurationError
from triptych.fixes import FORBIDDEN
from triptych.repositories.committing import Commit, commit_patch
from triptych.repositories.git import Git
from triptych.repositories.opening import Identity, Opened, beside, commit_of, has_changes, open_repository, tree_of
from triptych.repositories.patches import PatchLimits, inspect
from triptych.repositories.paths import Forbidden
from triptych.repositories.records import Applied, Refused
from triptych.repositories.showing import visible
from triptych.repositories.sources import check_ref, parse_source

PREFIX = "triptych/"
"""Of every branch that is made here."""
_BRANCH = re.compile(rf"{PREFIX}[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){{0,198}}(?<![.])(?<!\.lock)")


def branch_name(task: str, run: str) -> str:
    """Return the branch of a task's run: `triptych/<task>-<run>`, with only letters, digits, `_` and `-` of both.

    Args:
        task: What the task is called; two names that differ in other signs alone have the same branch.
        run: The flow run's id.
    """
    plain = [re.sub(r"[^A-Za-z0-9_]+", "-", part)[:most].strip("-_") for part, most in ((task, 100), (run, 60))]
    return f"{PREFIX}{plain[0] or 'task'}-{plain[1]}"


async def apply_to_branch(
    repository: str,
    base_commit: str,
    patch: bytes,
    branch: str,
    message: str,
    *,
    identity: Identity,
    when: datetime,
    base_ref: str | None = None,
    forbidden: Sequence[str] = FORBIDDEN,
    limits: PatchLimits | None = None,
    allow_dirty: bool = False,
) -> Applied | Refused:
    """Make a branch with one commit on a base commit: what the patch changes there.

    The same arguments make the same commit, so that it may be done again after a crash, or twice at once. A branch that
    exists is never moved: it is the one that was asked for, or the patch is refused.

    Args:
        repository: As the task names it; one that is not on this machine is refused.
        base_commit: What the patch was made on, in full.
        patch: It is inspected here once more.
        branch: As `branch_name` makes it.
        message: Of the commit.
        identity: Author and committer; see `owner_identity`.
        when: Of the commit; the same whenever this is done again.
        base_ref: What the task called the base: it is looked up whether that has moved, and the branch would still
            merge into it.
        forbidden: Paths that the policy keeps.
        limits: The patch's size.
        allow_dirty: Whether uncommitted changes of tracked files are no reason to refuse.

    Raises:
        ConfigurationError: there is no such repository, commit or ref, or the branch's name is none of ours.
    """
    if not _BRANCH.fullmatch(branch):
        raise ConfigurationError(
            f"{visible(branch)!r} is no branch for a patch: it begins with {PREFIX}, then plain signs"
        )
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", base_commit):
        raise ConfigurationError(f"{visible(base_commit)!r} is no commit in full")
    summary = await inspect(patch, forbidden, limits)
    if isinstance(summary, Refused):
        return summary
    source = parse_source(repository)
    if source.path is None:
        reason = f"{repository} is not on this machine: clone it, name the clone's path, and push the branch from there"
        return Refused(kind="elsewhere", reason=reason)
    opened = await open_repository(source.path)
    await commit_of(opened.git, base_commit, str(source.path))
    moved_to = await _moved_to(opened, base_ref, base_commit)
    async with beside(opened) as git:
        made = await commit_patch(git, base_commit, patch, summary, Forbidden(forbidden), message, identity, when)
        if isinstance(made, Refused):
            return made
        merges = None if moved_to is None else not await meeting(git, moved_to, made.commit)
        earlier = await _branch(opened, branch)
        if earlier is None:
            if not allow_dirty and await has_changes(opened):
                reason = f"{source.path} has uncommitted changes: commit or stash them, then apply it again"
                return Refused(kind="dirty", reason=reason)
            await _hand_over(git, opened.git, made, base_commit)
            refused = await _make(opened, branch, made, identity)
            # Another execution may have been quicker.
            earlier = await _branch(opened, branch) if refused is not None else None
            if refused is not None and earlier is None:
                return refused
        if earlier not in (None, made.commit) and not await _is_the_same(opened, earlier, made, base_commit):
            reason = f"the branch {branch} is there with something else: it is not moved"
            return Refused(kind="branch", reason=reason)
    return Applied(
        branch=branch,
        commit=earlier or made.commit,
        tree=made.tree,
        base_commit=base_commit,
        was_there=earlier is not None,
        base_moved_to=moved_to,
        merges_cleanly=merges,
    )


async def meeting(git: Git, first: str, second: str) -> tuple[str, ...]:
    """Return the paths where two commits cannot be merged with each other; empty where they can.

    Raises:
        ConfigurationError: they cannot be compared, as with a git before 2.38.
    """
    options = ("--write-tree", "-z", "--name-only", "--no-messages", "--allow-unrelated-histories")
    done = await git.ask("merge-tree", *options, first, second)
    if done.code not in (0, 1):
        raise ConfigurationError(f"git cannot try a merge; it takes git 2.38 or later ({done.complaint})")
    # The tree comes first, and the paths with conflicts after it.
    paths = done.stdout.split(b"\0")[1:] if done.code == 1 else []
    return tuple(sorted({visible(path.decode(errors="backslashreplace")) for path in paths if path}))


async def _branch(opened: Opened, branch: str) -> str | None:
    done = await opened.git.ask("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
    return done.stdout.decode().strip() or None


async def _hand_over(git: Git, owner: Git, made: Commit, base_commit: str) -> None:
    """Add the commit's objects to the owner's repository, each as it is written there anyway: whole or not at all."""
    fault = f"the commit {made.commit} cannot be put into {owner.folder}"
    revisions = f"{made.commit}\n^{base_commit}\n".encode()
    pack = await git.run("pack-objects", "--quiet", "--revs", "--stdout", stdin=revisions, fault=fault)
    await owner.run("unpack-objects", "-q", "--strict", stdin=pack, fault=fault)


async def _make(opened: Opened, branch: str, made: Commit, identity: Identity) -> Refused | None:
    signed = {"GIT_COMMITTER_NAME": identity.name, "GIT_COMMITTER_EMAIL": identity.email}
    owner = Git(opened.git.folder, opened.git.settings, signed)
    nothing = "0" * len(made.commit)
    ref = f"refs/heads/{branch}"
    done = await owner.ask("update-ref", "-m", "triptych: apply", "--no-deref", ref, made.commit, nothing)
    if done.code == 0:
        return None
    return Refused(kind="branch", reason=f"the branch {branch} cannot be made: {done.complaint}")


async def _is_the_same(opened: Opened, there: str, made: Commit, base_commit: str) -> bool:
    """Whether a branch has the same content on the same base, under another message or of another time."""
    parents = await opened.git.run(
        "rev-list", "--parents", "--max-count=1", there, fault=f"the commit {there} cannot be read"
    )
    return parents.decode().split()[1:] == [base_commit] and await tree_of(opened.git, there) == made.tree


async def _moved_to(opened: Opened, base_ref: str | None, base_commit: str) -> str | None:
    if base_ref is None:
        return None
    check_ref(base_ref)
    try:
        tip = await commit_of(opened.git, base_ref, str(opened.git.folder))
    except ConfigurationError:
        # Merged and removed meanwhile, say; the commit is still there.
        return None
    return None if tip == base_commit else tip
