"""A patch on a branch of its own: made once, whatever happens, and nothing else of the owner's is touched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.repositories.repository import OWNER, Repository, Traps
from triptych.errors import ConfigurationError
from triptych.repositories.branches import apply_to_branch, branch_name
from triptych.repositories.opening import Identity
from triptych.repositories.records import Applied, Refused

BRANCH = "triptych/fix-1"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGNED: dict[str, Any] = {"identity": Identity(*OWNER), "when": WHEN}


async def apply(repository: Repository, patch: bytes, **options: Any) -> Applied | Refused:
    base = options.pop("base", None) or repository.head()
    branch = options.pop("branch", BRANCH)
    return await apply_to_branch(repository.path, base, patch, branch, "Fix it\n", **SIGNED, **options)


def a_fix(repository: Repository) -> bytes:
    repository.write("src/code.py", "def add(a, b):\n    return a + b\n")
    return repository.patch()


def another(repository: Repository) -> bytes:
    repository.write("src/code.py", "def add(a, b):\n    return sum((a, b))\n")
    return repository.patch()


async def test_a_branch_with_one_commit(repository: Repository):
    base, patch = repository.head(), a_fix(repository)
    before = repository.state()
    done = await apply(repository, patch, base_ref="main")
    commit = repository.git("rev-parse", BRANCH)
    tree = repository.git("rev-parse", f"{BRANCH}^{{tree}}")
    assert done == Applied(branch=BRANCH, commit=commit, tree=tree, base_commit=base)
    about = repository.git("log", "-1", "--format=%P|%an|%ae|%cn|%ce|%at|%ct|%B", BRANCH)
    time = int(WHEN.timestamp())
    assert about == "|".join((base, *OWNER, *OWNER, str(time), str(time), "Fix it"))
    assert repository.git("show", f"{BRANCH}:src/code.py") == "def add(a, b):\n    return a + b"
    assert repository.git("fsck", "--full", "--strict") == ""
    after = repository.state()
    assert (after["files"], after["inside"]) == (before["files"], before["inside"])
    assert repository.git("for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/main",
        f"refs/heads/{BRANCH}",
    ]


async def test_nothing_of_the_repository_runs(repository: Repository, traps: Traps):
    repository.write(".gitattributes", "*.py filter=evil diff=evil merge=evil\n")
    repository.commit("attributes")
    base, patch = repository.head(), a_fix(repository)
    repository.commit("moved on")
    traps.plant(repository)
    done = await apply(repository, patch, base=base, base_ref="main")
    assert isinstance(done, Applied)
    assert done.merges_cleanly
    assert traps.sprung == []


async def test_attributes_in_the_patch_run_nothing(repository: Repository, traps: Traps):
    repository.write(".gitattributes", "* filter=evil diff=evil merge=evil text=auto eol=crlf\n")
    repository.write("src/code.py", "new\n")
    patch = repository.patch()
    traps.plant(repository)
    done = await apply(repository, patch, forbidden=())
    assert isinstance(done, Applied)
    assert repository.bytes("cat-file", "blob", f"{BRANCH}:src/code.py") == b"new\n"
    assert traps.sprung == []


async def test_done_again_it_is_the_same(repository: Repository):
    patch = a_fix(repository)
    first = await apply(repository, patch)
    assert isinstance(first, Applied)
    again = await apply(repository, patch)
    assert again == first.model_copy(update={"was_there": True})


async def test_the_same_under_another_message_is_there_already(repository: Repository):
    patch = a_fix(repository)
    first = await apply(repository, patch)
    assert isinstance(first, Applied)
    later: dict[str, Any] = {**SIGNED, "when": datetime(2027, 1, 1, tzinfo=UTC)}
    again = await apply_to_branch(repository.path, repository.head(), patch, BRANCH, "Other words", **later)
    assert again == first.model_copy(update={"was_there": True})


async def test_two_at_once_make_one(repository: Repository):
    patch = a_fix(repository)
    done = await asyncio.gather(*(apply(repository, patch) for _ in range(4)))
    assert {each.commit for each in done if isinstance(each, Applied)} == {repository.git("rev-parse", BRANCH)}
    assert [each for each in done if isinstance(each, Refused)] == []
    assert repository.branches() == [BRANCH]


async def test_a_branch_with_something_else_is_not_moved(repository: Repository):
    patch, other = a_fix(repository), another(repository)
    await apply(repository, patch)
    before = repository.state()
    done = await apply(repository, other)
    assert isinstance(done, Refused)
    assert (done.kind, "is not moved" in done.reason) == ("branch", True)
    assert repository.state() == before


async def test_a_branch_of_the_same_content_and_another_past_is_something_else(repository: Repository):
    patch = a_fix(repository)
    repository.git("checkout", "-qb", BRANCH)
    repository.commit("between")
    a_fix_by_hand = "def add(a, b):\n    return a + b\n"
    repository.write("src/code.py", a_fix_by_hand)
    repository.commit("by hand")
    repository.git("checkout", "-q", "main")
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert done.kind == "branch"


async def test_a_name_that_cannot_be_had(repository: Repository):
    patch = a_fix(repository)
    repository.git("branch", "triptych")
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert (done.kind, "cannot be made" in done.reason) == ("branch", True)


@pytest.mark.parametrize(
    "branch",
    [
        "main",
        "triptych",
        "triptych/",
        "refs/heads/triptych/x",
        "triptych/../main",
        "triptych/-x",
        "triptych/a..b",
        "triptych/a.lock",
        "triptych/a.",
        "triptych/a b",
        "triptych/a/b",
        "triptych/a\nb",
        "triptych/@{u}",
        "-triptych/x",
        "",
    ],
)
async def test_a_branch_that_is_none_of_ours(repository: Repository, branch: str):
    with pytest.raises(ConfigurationError, match="is no branch for a patch"):
        await apply(repository, b"", branch=branch)


@given(st.text(max_size=300), st.uuids())
def test_every_task_has_a_branch_that_git_takes(task: str, run: object):
    branch = branch_name(task, str(run))
    with pytest.raises(ConfigurationError, match="is no commit in full"):
        asyncio.run(apply_to_branch("/nowhere", "", b"", branch, "", **SIGNED))


def test_the_branch_of_a_task():
    assert branch_name("fix the: parser!", "0f-1") == "triptych/fix-the-parser-0f-1"
    assert branch_name("../../main", "1") == "triptych/main-1"
    assert branch_name("_:0", "_") == "triptych/0-"
    assert branch_name("日本", "1") == "triptych/task-1"


async def test_uncommitted_changes(repository: Repository):
    patch = a_fix(repository)
    repository.write("README", "being worked on\n")
    before = repository.state()
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert (done.kind, "commit or stash" in done.reason) == ("dirty", True)
    assert repository.state() == before
    assert isinstance(await apply(repository, patch, allow_dirty=True), Applied)
    assert (repository.folder / "README").read_text() == "being worked on\n"


async def test_what_was_applied_before_the_owner_went_on_is_applied(repository: Repository):
    patch = a_fix(repository)
    first = await apply(repository, patch)
    assert isinstance(first, Applied)
    repository.write("README", "being worked on\n")
    assert await apply(repository, patch) == first.model_copy(update={"was_there": True})


async def test_what_is_staged_is_uncommitted_too(repository: Repository):
    patch = a_fix(repository)
    repository.write("new", "x\n")
    assert isinstance(await apply(repository, patch, branch="triptych/untracked"), Applied)
    repository.git("add", "new")
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert done.kind == "dirty"


async def test_a_patch_of_another_base(repository: Repository):
    patch = a_fix(repository)
    repository.write("src/code.py", "something else\n")
    repository.commit("moved on")
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert done.kind == "conflict"
    assert "src/code.py" in done.reason
    assert repository.branches() == []


@pytest.mark.parametrize("merges", [True, False])
async def test_a_base_that_moved_on(repository: Repository, merges: bool):
    base, patch = repository.head(), a_fix(repository)
    repository.write("other" if merges else "src/code.py", "something else\n")
    tip = repository.commit("moved on")
    done = await apply(repository, patch, base=base, base_ref="main")
    assert isinstance(done, Applied)
    assert (done.base_commit, done.base_moved_to, done.merges_cleanly) == (base, tip, merges)
    assert repository.git("rev-parse", f"{BRANCH}^") == base


async def test_a_base_without_common_history(repository: Repository):
    base, patch = repository.head(), a_fix(repository)
    repository.git("checkout", "-q", "--orphan", "anew")
    repository.write("src/code.py", "rewritten\n")
    tip = repository.commit("anew")
    done = await apply(repository, patch, base=base, base_ref="anew")
    assert isinstance(done, Applied)
    assert (done.base_moved_to, done.merges_cleanly) == (tip, False)


async def test_a_patch_that_changes_nothing(repository: Repository):
    content = "one\ntwo\nthree\n"
    same = "".join(f"-{line}\n+{line}\n" for line in content.split())
    header = f"diff --git a/README b/README\nindex {'1' * 40}..{'2' * 40} 100644\n--- a/README\n+++ b/README\n"
    done = await apply(repository, f"{header}@@ -1,3 +1,3 @@\n{same}".encode())
    assert isinstance(done, Refused)
    assert done.kind == "empty"


@pytest.mark.parametrize("repository_of", ["https://example.com/a", "git@example.com:a"])
async def test_a_repository_that_is_elsewhere(repository: Repository, repository_of: str):
    done = await apply_to_branch(repository_of, repository.head(), a_fix(repository), BRANCH, "", **SIGNED)
    assert isinstance(done, Refused)
    assert (done.kind, "clone it" in done.reason) == ("elsewhere", True)


@pytest.mark.parametrize("base", ["main", "HEAD", "-x", "0" * 40, "abc"])
async def test_a_base_that_is_no_commit(repository: Repository, base: str):
    patch = a_fix(repository)
    with pytest.raises(ConfigurationError, match="no commit"):
        await apply(repository, patch, base=base)


async def test_what_inspection_refuses_is_refused_here_too(repository: Repository):
    repository.write(".github/workflows/ci.yml", "x\n")
    done = await apply(repository, repository.patch())
    assert isinstance(done, Refused)
    assert done.kind == "forbidden"
    assert repository.branches() == []


async def test_a_link_that_is_moved_leads_elsewhere(repository: Repository):
    """The patch says nothing of where it leads; the tree does."""
    repository.write("a/b/x", "x\n")
    (repository.folder / "a" / "b" / "link").symlink_to("../../README")
    repository.commit("link")
    repository.git("mv", "a/b/link", "link")
    patch = repository.patch()
    assert b"README" not in patch
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert (done.kind, "leads out" in done.reason) == ("unsafe", True)
    assert repository.branches() == []


async def test_a_link_that_is_passed_off_as_a_file(repository: Repository):
    (repository.folder / "link").symlink_to("README")
    repository.commit("link")
    (repository.folder / "link").unlink()
    (repository.folder / "link").symlink_to("/etc/passwd")
    patch = repository.patch().replace(b" 120000\n", b" 100644\n")
    done = await apply(repository, patch)
    assert isinstance(done, Refused)
    assert (done.kind, "wrong type" in done.reason) == ("conflict", True)


async def test_a_file_behind_a_link(repository: Repository):
    (repository.folder / "link").symlink_to("src")
    repository.commit("link")
    new = "new file mode 100644\nindex 0000000..1111111\n--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+a\n"
    done = await apply(repository, f"diff --git a/link/x b/link/x\n{new}".encode())
    assert isinstance(done, Refused)
    assert done.kind == "conflict"


async def test_a_message_is_only_a_message(repository: Repository):
    patch = a_fix(repository)
    message = "-x\n# not a comment\n\ntree 0000\n\x1b[31m"
    done = await apply_to_branch(repository.path, repository.head(), patch, BRANCH, message, **SIGNED)
    assert isinstance(done, Applied)
    assert repository.git("log", "-1", "--format=%B", BRANCH) == message


async def test_an_owner_without_a_name(repository: Repository):
    signed: dict[str, Any] = {"identity": Identity("<>", "x@example.com"), "when": WHEN}
    with pytest.raises(ConfigurationError, match=r"see user\.name"):
        await apply_to_branch(repository.path, repository.head(), a_fix(repository), BRANCH, "", **signed)


@pytest.mark.parametrize("options", [["--bare"], ["--depth=1"], ["--object-format=sha256"]])
async def test_other_kinds_of_repositories(repository: Repository, tmp_path: Path, options: list[str]):
    second = repository.commit("second")
    if options == ["--object-format=sha256"]:
        owner = Repository(tmp_path / "other", *options)
        owner.write("src/code.py", (repository.folder / "src" / "code.py").read_bytes())
        second = owner.commit("first")
    else:
        repository.git("clone", "-q", *options, f"file://{repository.folder}", str(tmp_path / "other"))
        owner = Repository.__new__(Repository)
        owner.folder = tmp_path / "other"
    patch = a_fix(repository) if options != ["--object-format=sha256"] else a_fix(owner)
    done = await apply(owner, patch, base_ref="main")
    assert isinstance(done, Applied)
    assert owner.git("log", "-1", "--format=%P", BRANCH) == second


NAMES = st.sampled_from(["a", "b c", "dir/a", "dir/ü", "-x", 'q"', "b/ b/", "deep/er/x"]).map(
    lambda name: name.rstrip("/")
)
LINES = st.lists(
    st.sampled_from(["a", "b", "", "-- a/x", "++ b/x", "@@ -1 +1 @@", "c\r", "\\ No newline"]), max_size=12
)
CONTENTS = st.one_of(LINES.map("\n".join).map(str.encode), st.binary(max_size=200))
FILES = st.dictionaries(NAMES, st.tuples(CONTENTS, st.booleans()), max_size=6)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(before=FILES, after=FILES)
def test_what_was_changed_is_what_is_on_the_branch(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[str, tuple[bytes, bool]],
    after: dict[str, tuple[bytes, bool]],
):
    owner = Repository(tmp_path_factory.mktemp("edits") / "owner")
    for name, (content, is_executable) in before.items():
        owner.write(name, content, executable=is_executable)
    owner.commit("before")
    for name in before.keys() - after.keys():
        (owner.folder / name).unlink()
    for name, (content, is_executable) in after.items():
        owner.write(name, content, executable=is_executable)
    owner.git("add", "-A")
    tree = owner.git("write-tree")
    unchanged = tree == owner.git("rev-parse", "HEAD^{tree}")
    done = asyncio.run(apply(owner, owner.patch()))
    if unchanged:
        assert isinstance(done, Refused)
        assert done.kind == "empty"
    else:
        assert isinstance(done, Applied), done
        assert done.tree == owner.git("rev-parse", f"{BRANCH}^{{tree}}") == tree
