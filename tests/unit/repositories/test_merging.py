"""Which patches of one repository go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.repositories.repository import Repository, Traps
from triptych.errors import ConfigurationError
from triptych.repositories.merging import MOST, conflicts
from triptych.repositories.records import PatchConflict, PatchConflicts

TEXT = "".join(f"{number}\n" for number in range(30))


@pytest.fixture
def patches(repository: Repository) -> dict[str, bytes]:
    """Two that change one line, one that changes another, one that deletes the file, one with a new file."""
    repository.write("text", TEXT)
    repository.commit("text")
    found: dict[str, bytes] = {}
    for name, old, new in (("first", "2\n", "two\n"), ("second", "2\n", "TWO\n"), ("far", "25\n", "far\n")):
        repository.write("text", TEXT.replace(f"\n{old}", f"\n{new}"))
        found[name] = repository.patch()
    (repository.folder / "text").unlink()
    found["gone"] = repository.patch()
    repository.write("new", "new\n")
    found["new"] = repository.patch()
    return found


def pair(first: str, second: str, *paths: str) -> PatchConflict:
    return PatchConflict(first=first, second=second, paths=paths)


async def test_each_is_tried_with_each(repository: Repository, patches: dict[str, bytes]):
    before = repository.state()
    found = await conflicts(repository.path, repository.head(), patches)
    assert found == PatchConflicts(
        conflicts=(
            pair("far", "gone", "text"),
            pair("first", "gone", "text"),
            pair("first", "second", "text"),
            pair("gone", "second", "text"),
        )
    )
    assert await conflicts(repository.path, repository.head(), dict(reversed(patches.items()))) == found
    assert repository.state() == before


async def test_nothing_is_added_to_the_repository(repository: Repository, patches: dict[str, bytes]):
    before = repository.git("count-objects", "-v")
    await conflicts(repository.path, repository.head(), patches)
    assert repository.git("count-objects", "-v") == before


async def test_one_that_does_not_apply_is_left_out(repository: Repository, patches: dict[str, bytes]):
    patches |= {"forged": b"x\n", "other": patches["first"].replace(b"-2\n", b"-3\n"), "empty": b""}
    found = await conflicts(repository.path, repository.head(), patches)
    assert {name: refused.kind for name, refused in found.left_out.items()} == {
        "forged": "malformed",
        "other": "conflict",
        "empty": "empty",
    }
    assert len(found.conflicts) == 4


async def test_the_same_change_twice_is_no_conflict(repository: Repository, patches: dict[str, bytes]):
    found = await conflicts(repository.path, repository.head(), {"a": patches["first"], "b": patches["first"]})
    assert found == PatchConflicts(conflicts=())


async def test_a_file_and_a_folder_of_one_name(repository: Repository):
    repository.write("name", "file\n")
    first = repository.patch()
    (repository.folder / "name").unlink(missing_ok=True)
    repository.write("name/below", "file\n")
    second = repository.patch()
    [found] = (await conflicts(repository.path, repository.head(), {"a": first, "b": second})).conflicts
    assert (found.first, found.second) == ("a", "b")


async def test_no_driver_of_the_repository_merges(repository: Repository, patches: dict[str, bytes], traps: Traps):
    repository.write(".gitattributes", "* merge=evil filter=evil\n")
    repository.commit("attributes")
    traps.plant(repository)
    found = await conflicts(repository.path, repository.head(), patches)
    assert len(found.conflicts) == 4
    assert traps.sprung == []


async def test_there_can_be_too_many(repository: Repository):
    with pytest.raises(ConfigurationError, match="can be at once"):
        await conflicts(repository.path, repository.head(), {str(number): b"" for number in range(MOST + 1)})


async def test_there_must_be_such_a_base(repository: Repository, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="there is no commit"):
        await conflicts(repository.path, "0" * 40, {})
    with pytest.raises(ConfigurationError, match="not the top of a git repository"):
        await conflicts(str(tmp_path), "0" * 40, {})
