"""What the program in a box tells of its files is enough to have the same files in another box."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.sandbox.hands import files
from triptych.sandbox.hands.frames import CHUNK
from triptych.sandbox.hands.snapshots import RACY_NANOSECONDS, Snapshots

POLICY = {
    "exclude": ["__pycache__", "*.log"],
    "max_file_bytes": 1000,
    "max_bytes": 1_000_000,
    "max_entries": 1000,
}


class Change(NamedTuple):
    """What `changes` has told."""

    manifest: dict[str, Any]
    contents: bytes

    @property
    def paths(self) -> list[str]:
        return [each["path"] for each in self.manifest["entries"]]


def told(snapshots: Snapshots, since: int) -> Change:
    pieces: list[bytes] = []
    snapshots.changes(since, pieces.append)
    assert max(map(len, pieces)) <= CHUNK
    contents, _, manifest = b"".join(pieces).rpartition(b"\n")
    return Change(json.loads(manifest), contents)


def laid(snapshots: Snapshots, change: Change) -> dict[str, Any]:
    manifest = json.dumps({name: change.manifest[name] for name in ("entries", "removed", "contents")}).encode()
    body = manifest + b"\n" + change.contents
    return snapshots.lay(iter([body[at : at + 7] for at in range(0, len(body), 7)]))


def packed(folder: Path) -> bytes:
    pieces: list[bytes] = []
    files.pack(str(folder), pieces.append)
    return b"".join(pieces)


def unpacked(archive: bytes, folder: Path) -> None:
    files.unpack(str(folder), iter([archive]))


def all_of(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything that is to come back of a folder, as the system tells it."""
    found: dict[bytes, tuple[Any, ...]] = {}
    root = os.fsencode(folder)
    for base, folders, names in os.walk(root):
        for path in [base, *(os.path.join(base, name) for name in [*folders, *names])]:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                found[os.path.relpath(path, root)] = ("link", os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                found[os.path.relpath(path, root)] = ("folder", oct(status.st_mode))
            else:
                content = Path(os.fsdecode(path)).read_bytes()
                mtime_us = (status.st_mtime_ns + 500) // 1000
                found[os.path.relpath(path, root)] = ("file", oct(status.st_mode), content, mtime_us)
    return found


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    folder.mkdir()
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    folder.mkdir()
    return folder


def test_nothing_changed_is_nothing_told(box: Path) -> None:
    (box / "file").write_text("as it was")
    snapshots = Snapshots(str(box))
    marked = snapshots.mark(POLICY)
    change = told(snapshots, marked["generation"])
    assert (change.paths, change.manifest["removed"], change.contents) == ([], [], b"")
    assert change.manifest["tree"] == marked["tree"]


def test_modes_links_empty_folders_and_any_name_come_back(box: Path, other: Path) -> None:
    for folder in (box, other):
        (folder / "kept").write_text("as it was")
        (folder / "gone").write_text("was here")
    marks = Snapshots(str(box))
    generation = marks.mark(POLICY)["generation"]
    for mode in (0o777, 0o640, 0o400, 0o2755, 0o4711):
        (box / f"{mode:o}").write_text("x")
        (box / f"{mode:o}").chmod(mode)
    (box / "gone").unlink()
    (box / "empty").mkdir()
    (box / "empty").chmod(0o1777)
    (box / "dangling").symlink_to("no/where at\nall")
    (box / "outside").symlink_to("/etc/passwd")
    for name in (b"new\nline", b"per%20cent", b"\xff\xfe", "ünïcödé 猫".encode(), b" -rf *", b"..."):
        Path(os.fsdecode(os.path.join(os.fsencode(box), name))).write_bytes(name)
    os.utime(box / "kept", ns=(1, 1_000_000_123_456_789))
    change = told(marks, generation)
    again = Snapshots(str(other))
    again.mark(POLICY)
    assert laid(again, change)["tree"] == change.manifest["tree"]
    assert all_of(other) == all_of(box)


def test_a_folder_that_lets_nobody_write_takes_what_had_changed_in_it(box: Path, other: Path) -> None:
    for folder in (box, other):
        (folder / "shut" / "deep").mkdir(parents=True)
        (folder / "shut" / "deep" / "old").write_text("old")
        (folder / "shut" / "deep").chmod(0o555)
        (folder / "shut").chmod(0o500)
    marks = Snapshots(str(box))
    generation = marks.mark(POLICY)["generation"]
    (box / "shut").chmod(0o700)
    (box / "shut" / "deep").chmod(0o755)
    (box / "shut" / "deep" / "old").unlink()
    (box / "shut" / "deep" / "new").write_text("new")
    (box / "shut" / "deep").chmod(0o555)
    (box / "shut").chmod(0o500)
    change = told(marks, generation)
    again = Snapshots(str(other))
    again.mark(POLICY)
    assert laid(again, change)["tree"] == change.manifest["tree"]
    assert all_of(other) == all_of(box)


@pytest.mark.parametrize("before", ["file", "folder", "link"])
@pytest.mark.parametrize("after", ["file", "folder", "link"])
def test_what_becomes_another_kind_of_thing_is_that_in_the_other_box(
    box: Path, other: Path, before: str, after: str
) -> None:
    def make(folder: Path, kind: str, text: str) -> None:
        if kind == "file":
            (folder / "it").write_text(text)
        elif kind == "link":
            (folder / "it").symlink_to(text)
        else:
            (folder / "it" / "in").mkdir(parents=True)
            (folder / "it" / "in" / "file").write_text(text)

    make(box, before, "before")
    make(other, before, "before")
    marks = Snapshots(str(box))
    generation = marks.mark(POLICY)["generation"]
    if before == "folder":
        shutil.rmtree(box / "it")
    else:
        (box / "it").unlink()
    make(box, after, "after")
    change = told(marks, generation)
    again = Snapshots(str(other))
    again.mark(POLICY)
    laid(again, change)
    assert all_of(other) == all_of(box)


def test_a_removed_folder_is_one_name(box: Path) -> None:
    for name in ("a", "a+b", "ab"):
        (box / name / "deep").mkdir(parents=True)
        (box / name / "deep" / "file").write_text(name)
    snapshots = Snapshots(str(box))
    generation = snapshots.mark(POLICY)["generation"]
    shutil.rmtree(box / "a")
    (box / "ab" / "deep" / "file").unlink()
    assert told(snapshots, generation).manifest["removed"] == ["a", "ab/deep/file"]


def test_a_content_is_sent_once_and_again_where_its_answer_was_lost(box: Path) -> None:
    snapshots = Snapshots(str(box))
    first = snapshots.mark(POLICY)["generation"]
    (box / "one").write_text("the same")
    (box / "two").write_text("the same")
    change = told(snapshots, first)
    assert change.contents == b"the same"
    # Nobody names the generation of that answer: it was lost.
    lost_and_found = told(snapshots, first)
    assert lost_and_found.contents == b"the same"
    (box / "three").write_text("other")
    later = told(snapshots, lost_and_found.manifest["generation"])
    assert later.contents == b"other"
    assert later.paths == ["one", "three", "two"]
    with pytest.raises(ValueError, match="not known"):
        told(snapshots, first)


def test_what_was_laid_is_not_sent_again(box: Path, other: Path) -> None:
    marks = Snapshots(str(box))
    generation = marks.mark(POLICY)["generation"]
    (box / "file").write_text("content")
    change = told(marks, generation)
    again = Snapshots(str(other))
    again.mark(POLICY)
    came = laid(again, change)
    (other / "next").write_text("more")
    later = told(again, came["generation"])
    assert (later.paths, later.contents) == (["file", "next"], b"more")


def test_policy_leaves_out_by_name_size_and_kind_and_says_so(box: Path) -> None:
    snapshots = Snapshots(str(box))
    generation = snapshots.mark(POLICY)["generation"]
    (box / "src" / "__pycache__").mkdir(parents=True)
    (box / "src" / "__pycache__" / "x.pyc").write_text("x")
    (box / "a.log").write_text("x")
    (box / "large").write_bytes(bytes(1001))
    (box / "as large as may be").write_bytes(bytes(1000))
    os.mkfifo(box / "pipe")
    (box / ".git").mkdir()
    (box / ".git" / "pack").write_bytes(bytes(2000))
    (box / ".git" / "x.log").write_text("kept")
    change = told(snapshots, generation)
    assert change.paths == [".git", ".git/pack", ".git/x.log", "as%20large%20as%20may%20be", "src"]
    assert change.manifest["left_out"] == {
        "src/__pycache__": "excluded",
        "a.log": "excluded",
        "large": "larger than 1000 bytes",
        "pipe": "neither a file, a folder nor a link",
    }
    assert change.manifest["left_out_count"] == 4


def test_a_large_file_that_was_there_stays_until_it_is_changed(box: Path) -> None:
    (box / "large").write_bytes(bytes(2000))
    snapshots = Snapshots(str(box))
    generation = snapshots.mark(POLICY)["generation"]
    wait_until_not_racy(box / "large")
    assert told(snapshots, generation).manifest["removed"] == []
    (box / "large").write_bytes(bytes(2001))
    assert told(snapshots, generation).manifest["removed"] == ["large"]


def test_a_change_that_shows_in_no_time_and_no_size_is_found(box: Path) -> None:
    """As two within one tick of the file system's clock: here through memory, where the second one changes no time."""
    file = box / "file"
    file.write_text("...")
    snapshots = Snapshots(str(box))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 3) as memory:
        memory[:] = b"old"
        before = file.stat()
        generation = snapshots.mark(POLICY)["generation"]
        memory[:] = b"new"
        assert file.stat().st_ctime_ns == before.st_ctime_ns
        assert told(snapshots, generation).contents == b"new"


@pytest.mark.parametrize(("limit", "what"), [("max_bytes", 10), ("max_entries", 1)])
def test_too_much_is_an_error_and_not_half_an_answer(box: Path, limit: str, what: int) -> None:
    snapshots = Snapshots(str(box))
    generation = snapshots.mark({**POLICY, limit: what})["generation"]
    for name in ("one", "two"):
        (box / name).write_text(f"content of {name}")
    with pytest.raises(OSError, match="changed"):
        told(snapshots, generation)


def test_a_body_that_lacks_a_content_is_refused(box: Path, other: Path) -> None:
    marks = Snapshots(str(box))
    generation = marks.mark(POLICY)["generation"]
    (box / "file").write_text("content")
    change = told(marks, generation)
    again = Snapshots(str(other))
    again.mark(POLICY)
    with pytest.raises(ValueError, match="too soon"):
        laid(again, change._replace(contents=b"cont"))


NAMES = st.sampled_from([b"a", b"b", b"a+", b"\xff", b"x y", b"n\nl", "é".encode()])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: b"/".join(names))
MODES = st.sampled_from([0o777, 0o755, 0o644, 0o640, 0o600, 0o700])
ACTIONS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.binary(max_size=20), MODES),
    st.tuples(st.just("mkdir"), PATHS, st.just(b""), MODES),
    st.tuples(st.just("link"), PATHS, PATHS, MODES),
    st.tuples(st.just("remove"), PATHS, st.just(b""), MODES),
    st.tuples(st.just("move"), PATHS, PATHS, MODES),
)
Action = tuple[str, bytes, bytes, int]


def act(folder: Path, actions: Iterable[Action]) -> None:
    """Do to a folder what can be done of this; what cannot, because something else is there, is not."""
    root = os.fsencode(folder)
    for what, path, more, mode in actions:
        place = os.path.join(root, path)
        with suppress(OSError, shutil.Error):
            if what == "write":
                Path(os.fsdecode(place)).write_bytes(more)
                os.chmod(place, mode)
            elif what == "mkdir":
                os.makedirs(place)
                os.chmod(place, mode)
            elif what == "link":
                os.symlink(more, place)
            elif what == "move":
                os.rename(place, os.path.join(root, more))
            elif os.path.isdir(place) and not os.path.islink(place):
                shutil.rmtree(place)
            else:
                os.unlink(place)


@settings(max_examples=60, deadline=None)
@given(base=st.lists(ACTIONS, max_size=8), rounds=st.lists(st.lists(ACTIONS, max_size=6), min_size=1, max_size=4))
def test_whatever_is_done_to_the_files_they_are_the_same_in_the_next_box(
    base: Sequence[Action], rounds: Sequence[Sequence[Action]]
) -> None:
    """A box after the other dies, each after some more was done in it."""
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name) / "repository"
        repository.mkdir()
        act(repository, base)
        archive = packed(repository)
        folder = Path(name) / "first"
        unpacked(archive, folder)
        snapshots = Snapshots(str(folder))
        generation = snapshots.mark(POLICY)["generation"]
        contents: dict[str, bytes] = {}
        for number, actions in enumerate(rounds):
            act(folder, actions)
            change = told(snapshots, generation)
            contents |= dict(cut(change))
            again = Path(name) / f"box-{number}"
            unpacked(archive, again)
            snapshots = Snapshots(str(again))
            snapshots.mark(POLICY)
            came = laid(snapshots, whole(change, contents))
            assert came["tree"] == change.manifest["tree"]
            assert all_of(again) == all_of(folder)
            folder, generation = again, came["generation"]


def cut(change: Change) -> Iterator[tuple[str, bytes]]:
    """The contents of an answer, by their hash."""
    at = 0
    for content, size in change.manifest["contents"]:
        yield content, change.contents[at : at + size]
        at += size
    assert at == len(change.contents)


def whole(change: Change, contents: dict[str, bytes]) -> Change:
    """The answer with all contents that its entries name, not the new ones alone."""
    wanted = sorted({each["content"] for each in change.manifest["entries"] if each["kind"] == "file"})
    manifest = {**change.manifest, "contents": [(each, len(contents[each])) for each in wanted]}
    return Change(manifest, b"".join(contents[each] for each in wanted))


def wait_until_not_racy(path: Path) -> None:
    status = path.stat()
    while os.stat(path.parent).st_mtime_ns < status.st_ctime_ns + 2 * RACY_NANOSECONDS:
        # The file system's own clock says when.
        (path.parent / ".tick").touch()
        (path.parent / ".tick").unlink()
