"""What is kept of repositories, patches and branches: records as in `triptych.records`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from triptych.records import Record


class PackedRepository(Record):
    """A commit of a repository as a tar archive, on its way into a box."""

    commit: str
    tree: str
    """The commit's, by git."""
    digest: str
    """SHA-256 of the archive."""
    bytes: int
    """The archive's size."""
    is_dirty: bool | None
    """Whether tracked files on this machine differ from their commit; None for a repository that is elsewhere."""
    submodules: tuple[str, ...] = ()
    """Paths whose folders are empty, since submodules are not fetched."""
    has_whole_history: bool = False
    """Whether the commits before it are in the archive."""


class FileChange(BaseModel):
    """What a patch does to one file."""

    model_config = ConfigDict(frozen=True)

    path: str
    """The new one, of a file that is renamed or copied."""
    old_path: str | None = None
    """Only of a file that is renamed or copied."""
    kind: Literal["added", "modified", "deleted", "renamed", "copied"]
    added: int = 0
    """Lines; 0 in a binary file."""
    removed: int = 0
    is_binary: bool = False
    old_mode: str | None = None
    """As git writes it, `100755`; None where there was no file, or where it is the same."""
    new_mode: str | None = None
    """None where there is no file any more, or where it is the same."""
    leads_to: str | None = None
    """Of a symbolic link that it writes: where it leads."""


class PatchSummary(Record):
    """A patch that may be applied, as far as itself can tell."""

    digest: str
    """SHA-256 of its bytes."""
    bytes: int
    files: tuple[FileChange, ...]
    added: int
    """Lines."""
    removed: int


class Refused(Record):
    """Why a patch does not get onto a branch: the end of that task, and of no other."""

    kind: Literal["empty", "too large", "malformed", "unsafe", "forbidden", "dirty", "conflict", "branch", "elsewhere"]
    """`malformed`: git did not write it so, or cannot read the files. `unsafe`: it would reach outside the repository
    or into git itself. `forbidden`: the policy keeps that path.
    `dirty`: the repository has uncommitted changes. `conflict`: it does not fit its base commit. `branch`: one of that
    name is there with something else, or cannot be made. `elsewhere`: the repository is not on this machine."""
    reason: str
    """A sentence for a person; nothing in it is hidden."""


class Applied(Record):
    """A patch on a branch of its own."""

    branch: str
    commit: str
    tree: str
    """The commit's, by git."""
    base_commit: str
    """Its parent."""
    was_there: bool = False
    """Whether an earlier execution had made the branch."""
    base_moved_to: str | None = None
    """Where the base branch is now; None where it is where it was or no more, or nobody asked."""
    merges_cleanly: bool | None = None
    """Whether the branch could be merged into the moved base without a conflict; None where it has not moved."""


class PatchConflict(BaseModel):
    """Two patches of one repository that cannot both be merged as they are."""

    model_config = ConfigDict(frozen=True)

    first: str
    second: str
    paths: tuple[str, ...]
    """Where they meet."""


class PatchConflicts(Record):
    """Which patches of one repository go together."""

    conflicts: tuple[PatchConflict, ...]
    left_out: dict[str, Refused] = Field(default_factory=dict)
    """The patches that cannot be applied even alone."""
