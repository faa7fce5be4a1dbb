"""A commit of a patch is read from its tree, whatever was said of the patch before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.repositories.repository import OWNER, Repository
from triptych.errors import ConfigurationError
from triptych.repositories.committing import Commit, commit_patch
from triptych.repositories.opening import Identity, beside, open_repository
from triptych.repositories.patches import inspect
from triptych.repositories.paths import Forbidden
from triptych.repositories.records import PatchSummary, Refused

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


async def committed(
    repository: Repository, patch: bytes, said: bytes, *, forbidden: tuple[str, ...] = (), when: datetime = WHEN
) -> Commit | Refused:
    """Commit a patch of which is said what holds for another."""
    summary = await inspect(said, ())
    assert isinstance(summary, PatchSummary)
    async with beside(await open_repository(repository.folder)) as git:
        kept = Forbidden(forbidden)
        return await commit_patch(git, repository.head(), patch, summary, kept, "x", Identity(*OWNER), when)


@pytest.fixture
def patch(repository: Repository) -> bytes:
    repository.write("README", "changed\n")
    return repository.patch()


async def test_nothing_is_added_to_the_repository_itself(repository: Repository, patch: bytes):
    before = repository.git("count-objects", "-v")
    done = await committed(repository, patch, patch)
    assert isinstance(done, Commit)
    assert repository.git("count-objects", "-v") == before


async def test_a_file_that_was_not_named(repository: Repository, patch: bytes):
    repository.write("src/code.py", "changed\n")
    done = await committed(repository, repository.patch(), patch)
    assert done == Refused(kind="malformed", reason="the patch changes other files than it says")


async def test_a_file_that_the_policy_keeps(repository: Repository, patch: bytes):
    done = await committed(repository, patch, patch, forbidden=("README",))
    assert isinstance(done, Refused)
    assert done.kind == "forbidden"


async def test_a_time_of_no_zone(repository: Repository, patch: bytes):
    with pytest.raises(ConfigurationError, match="time zone"):
        await committed(repository, patch, patch, when=datetime(2026, 1, 2))
