"""Which of several patches of one repository go together: each is tried with each, and nothing is merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations

from triptych.errors import ConfigurationError
from triptych.fixes import FORBIDDEN
from triptych.repositories.branches import meeting
from triptych.repositories.committing import commit_patch
from triptych.repositories.opening import Identity
from triptych.repositories.patches import PatchLimits, inspect
from triptych.repositories.paths import Forbidden
from triptych.repositories.records import PatchConflict, PatchConflicts, Refused
from triptych.repositories.sources import objects_of

MOST = 100
"""Patches at once; each is tried with each."""
_NOBODY = Identity("triptych", "triptych@localhost")
_WHEN = datetime(2000, 1, 1, tzinfo=UTC)


async def conflicts(
    repository: str,
    base_commit: str,
    patches: Mapping[str, bytes],
    *,
    forbidden: Sequence[str] = FORBIDDEN,
    limits: PatchLimits | None = None,
) -> PatchConflicts:
    """Say which patches of one base commit could not be merged with each other; the repository stays as it is.

    Args:
        repository: A path or URL, as the task names it.
        base_commit: What all of them were made on.
        patches: By the name of their tasks; the order does not matter.
        forbidden: Paths that the policy keeps.
        limits: Each patch's size.

    Raises:
        ConfigurationError: there is no such repository or commit, or there are too many patches.
    """
    if len(patches) > MOST:
        raise ConfigurationError(f"{len(patches)} patches of {repository} are to be compared; {MOST} can be at once")
    kept = Forbidden(forbidden)
    commits: dict[str, str] = {}
    left_out: dict[str, Refused] = {}
    async with objects_of(repository, base_commit) as (git, base, _):
        for name in sorted(patches):
            summary = await inspect(patches[name], forbidden, limits)
            made = (
                summary
                if isinstance(summary, Refused)
                else await commit_patch(git, base, patches[name], summary, kept, name, _NOBODY, _WHEN)
            )
            if isinstance(made, Refused):
                left_out[name] = made
            else:
                commits[name] = made.commit
        found = [
            PatchConflict(first=first, second=second, paths=paths)
            for first, second in combinations(commits, 2)
            if (paths := await meeting(git, commits[first], commits[second]))
        ]
    return PatchConflicts(conflicts=tuple(found), left_out=left_out)
