"""A chain of snapshots brings every box to the files of the one before it; what is missing, torn or untrue is told."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.sandbox.test_snapshots_in_the_box import all_of
from triptych.errors import CheckpointMissing, CheckpointTorn, SandboxLimitHit
from triptych.sandbox.client import BoxLost, Client, Marked
from triptych.sandbox.hands import files as hands_files
from triptych.sandbox.hands.snapshots import Snapshots
from triptych.sandbox.snapshots import Files, SnapshotPolicy, decode, encode
from triptych.snapshots import Snapshot, SnapshotEntry

BASE = "bases/repository.tar"
POLICY = SnapshotPolicy(max_file_mib=1, max_snapshot_mib=1, max_entries=20)


class Store:
    """Objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    async def write(self, key: str, content: bytes) -> None:
        self.objects[key] = content


class FolderClient(Client):
    """Boxes that are folders, with the box's own program for their files, and no broker between."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "no.sock")
        self.folder = folder
        self.boxes_: dict[str, Snapshots] = {}
        self.lie: Callable[[bytes], bytes] = lambda told: told

    def make(self, name: str) -> Path:
        (self.folder / name).mkdir()
        self.boxes_[name] = Snapshots(str(self.folder / name))
        return self.folder / name

    async def put(self, box: str, what: Any, path: str, content: Any) -> None:
        try:
            hands_files.unpack(str(self.folder / box), iter([content]))
        except tarfile.TarError as error:
            raise OSError(22, "EINVAL", str(error)) from error

    async def mark(self, box: str, policy: dict[str, Any]) -> Marked:
        return Marked(**self.boxes_[box].mark(json.loads(json.dumps(policy))))

    async def changes(self, box: str, since: int) -> AsyncGenerator[bytes]:
        pieces: list[bytes] = []
        self.boxes_[box].changes(since, pieces.append)
        yield self.lie(b"".join(pieces))

    async def lay(self, box: str, content: bytes) -> Marked:
        return Marked(**self.boxes_[box].lay(iter([content])))


@pytest.fixture
def store() -> Store:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("README", "src/one.py", "src/two.py"):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(name), 0o664
            tar.addfile(member, io.BytesIO(name.encode()))
    store = Store()
    store.objects[BASE] = archive.getvalue()
    return store


@pytest.fixture
def client(tmp_path: Path) -> FolderClient:
    return FolderClient(tmp_path)


def files(client: Client, store: Store, base: str | None = BASE) -> Files:
    """What a process of its own knows of the files: nothing yet."""
    return Files(client, store, folder="files/run", base=base, policy=POLICY)


async def test_each_snapshot_holds_what_is_new_and_restores_all(client: FolderClient, store: Store) -> None:
    first = client.make("first")
    kept = files(client, store)
    await kept.restore("first", None)
    assert await kept.save("first", "step-1") is None
    (first / "src" / "one.py").write_text("mended")
    (first / "run.sh").write_text("#!/bin/sh\n")
    (first / "run.sh").chmod(0o750)
    assert await kept.save("first", "step-2") == "step-2"
    assert await kept.save("first", "step-3") == "step-2"
    shutil.rmtree(first / "src")
    (first / "link").symlink_to("run.sh")
    (first / "again").write_text("mended")
    assert await kept.save("first", "step-4") == "step-4"
    assert sorted(store.objects) == [BASE, "files/run/step-2", "files/run/step-4"]
    # Nothing of it was new.
    assert decode("", store.objects["files/run/step-4"])[1] == b""
    second = client.make("second")
    resumed = files(client, store)
    await resumed.restore("second", "step-4")
    assert all_of(second) == all_of(first)
    assert await resumed.is_as_saved("second")
    (second / "more").write_text("more")
    assert not await resumed.is_as_saved("second")
    assert await resumed.save("second", "step-5") == "step-5"
    # As it was at an earlier step, by another process.
    earlier = client.make("earlier")
    await files(client, store).restore("earlier", "step-2")
    assert (earlier / "src" / "one.py").read_text() == "mended"
    assert (earlier / "src" / "two.py").read_text() == "src/two.py"
    assert (earlier / "run.sh").stat().st_mode & 0o777 == 0o750
    third = client.make("third")
    await files(client, store).restore("third", "step-5")
    assert all_of(third) == all_of(second)


async def test_a_workspace_may_begin_empty(client: FolderClient, store: Store) -> None:
    folder = client.make("first")
    kept = files(client, store, base=None)
    await kept.restore("first", None)
    (folder / "file").write_text("content")
    assert await kept.save("first", "step-1") == "step-1"
    other = client.make("second")
    await files(client, store, base=None).restore("second", "step-1")
    assert all_of(other) == all_of(folder)


async def test_a_store_that_failed_loses_nothing(
    client: FolderClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = client.make("first")
    kept = files(client, store)
    await kept.restore("first", None)
    (folder / "file").write_text("content")

    async def fail(key: str, content: bytes) -> None:
        raise OSError("out of reach")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", fail)
        with pytest.raises(OSError, match="out of reach"):
            await kept.save("first", "step-1")
    assert await kept.save("first", "step-1") == "step-1"
    assert decode("", store.objects["files/run/step-1"])[1] == b"content"


async def saved(client: FolderClient, store: Store) -> None:
    """Two snapshots, the second of which needs the first."""
    folder = client.make("first")
    kept = files(client, store)
    await kept.restore("first", None)
    (folder / "one").write_text("one")
    await kept.save("first", "step-1")
    (folder / "two").write_text("two")
    await kept.save("first", "step-2")
    client.make("second")


@pytest.mark.parametrize("gone", [BASE, "files/run/step-1", "files/run/step-2"])
async def test_an_object_that_is_gone_is_missed(client: FolderClient, store: Store, gone: str) -> None:
    await saved(client, store)
    del store.objects[gone]
    with pytest.raises(CheckpointMissing, match=gone):
        await files(client, store).restore("second", "step-2")


@pytest.mark.parametrize(
    ("torn", "kept_bytes"),
    # An archive's end is padding.
    [(BASE, 600), *((f"files/run/step-{number}", kept) for number in (1, 2) for kept in (-1, 100, 0))],
)
async def test_an_object_that_is_not_whole_is_told_from_one_that_is(
    client: FolderClient, store: Store, torn: str, kept_bytes: int
) -> None:
    await saved(client, store)
    store.objects[torn] = store.objects[torn][:kept_bytes]
    with pytest.raises(CheckpointTorn):
        await files(client, store).restore("second", "step-2")


async def test_another_base_is_found_out(client: FolderClient, store: Store) -> None:
    await saved(client, store)
    store.objects[BASE] = bytes(10240)
    with pytest.raises(CheckpointTorn, match="another one than it was"):
        await files(client, store).restore("second", "step-2")


def told(**changes: Any) -> Callable[[bytes], bytes]:
    """A box that says something else of its files."""

    def lie(answer: bytes) -> bytes:
        contents, _, line = answer.rpartition(b"\n")
        return contents + b"\n" + json.dumps({**json.loads(line), **changes}).encode()

    return lie


def instead(answer: bytes) -> Callable[[bytes], bytes]:
    return lambda _: answer


def entry(**changes: Any) -> dict[str, Any]:
    return {"path": "x", "kind": "folder", "mode": 0o755, "content": "", "size": 0, "mtime_us": 0, **changes}


@pytest.mark.parametrize(
    "lie",
    [
        told(entries=[entry(path="../x")]),
        told(entries=[entry(path="/etc/x")]),
        told(entries=[entry(path="%2E%2E/x")]),
        told(entries=[entry(path="a//x")]),
        told(entries=[entry(path="x%00")]),
        told(entries=[entry(mode=0o100777)]),
        told(entries=[entry(kind="device")]),
        told(entries=[entry(kind="file", content="../x")]),
        told(entries=[entry(kind="file", content="0" * 64, size=3)]),
        told(entries=[entry(), entry()]),
        told(entries=[entry(kind="link")]),
        told(removed=["../x"]),
        told(contents=[["0" * 64, 3]]),
        told(contents=[]),
        told(tree="x"),
        told(more=1),
        instead(b""),
        instead(b"\n[]"),
        instead(b"more\n[]"),
    ],
)
async def test_a_box_that_says_what_cannot_be_is_no_box_any_more(
    client: FolderClient, store: Store, lie: Callable[[bytes], bytes]
) -> None:
    folder = client.make("first")
    kept = files(client, store)
    await kept.restore("first", None)
    (folder / "file").write_text("content")
    client.lie = lie
    with pytest.raises(BoxLost):
        await kept.save("first", "step-1")
    assert list(store.objects) == [BASE]
    client.lie = lambda told: told
    assert await kept.save("first", "step-1") == "step-1"


async def test_more_than_may_be_kept_is_said_with_the_way_out(client: FolderClient, store: Store) -> None:
    folder = client.make("first")
    kept = files(client, store)
    await kept.restore("first", None)
    for name in "ab":
        (folder / name).write_bytes(name.encode() * 600_000)
    with pytest.raises(SandboxLimitHit, match="max_snapshot_mib"):
        await kept.save("first", "step-1")
    (folder / "a").unlink()
    assert await kept.save("first", "step-1") == "step-1"


def test_a_pattern_is_of_a_name_and_not_of_a_path() -> None:
    with pytest.raises(ValidationError, match="each part of a path"):
        SnapshotPolicy(exclude=("build/out",))


def test_a_record_comes_back_as_it_was() -> None:
    record = Snapshot(
        name="step-1",
        base=None,
        tree="0" * 64,
        entries=(SnapshotEntry(path="%FF/%0A", kind="link", mode=0o777, content="../%FF"),),
        removed=("a",),
        contents={},
    )
    assert decode("", encode(record, b"a\nb")) == (record, b"a\nb")
