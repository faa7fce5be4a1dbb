"""The files of one box in another: by the broker, under the user of a box, with all that a file can be."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai.workspaces import WorkspaceUnavailableError

from tests.components.sandbox import KIND, Broker, running_broker
from tests.e2e.hands.boxes import docker
from triptych.errors import SandboxLimitHit
from triptych.sandbox.client import Client
from triptych.sandbox.policy import Template
from triptych.sandbox.restored import REF, RestoredHands
from triptych.sandbox.snapshots import Files, SnapshotPolicy

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("docker_alone")]

BASE = "bases/repository.tar"
MAKE = r"""
import os
os.umask(0)
os.makedirs("empty", 0o1777)
os.makedirs("shut/deep", 0o755)
open(b"shut/deep/f", "w").write("x")
for mode in (0o777, 0o640, 0o400, 0o2755):
    open(f"{mode:o}", "w").write("x"); os.chmod(f"{mode:o}", mode)
for name in (b"\xff\xfe", b"new\nline", "\u732b".encode(), b"per%20cent", b" -rf *"):
    open(name, "wb").write(name)
os.symlink("../../etc/passwd", "outside"); os.symlink(b"dangling\xff", "nowhere")
os.chmod("kept", 0o600); os.unlink("gone/one"); os.chmod("bin", 0o770)
os.chmod("shut/deep", 0o555); os.chmod("shut", 0o500)
"""
TELL = r"""
import hashlib, os, stat
for base, folders, names in sorted(os.walk(b".")):
    for name in sorted(folders + names):
        path = os.path.join(base, name); status = os.lstat(path)
        is_file = stat.S_ISREG(status.st_mode)
        what = os.readlink(path) if stat.S_ISLNK(status.st_mode) else b""
        mode = stat.S_IMODE(status.st_mode)
        os.chmod(path, 0o700) if is_file and not mode & 0o400 else None
        content = hashlib.sha256(open(path, "rb").read()).hexdigest() if is_file else ""
        print(path, oct(status.st_mode), what, content, (status.st_mtime_ns + 500) // 1000 if is_file else "")
"""


class Store:
    """Objects in memory."""

    def __init__(self) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, mode in (("kept", 0o666), ("gone/one", 0o664), ("gone/two", 0o602), ("bin", 0o777)):
                member = tarfile.TarInfo(name)
                member.mode, member.size = mode, len(name)
                tar.addfile(member, io.BytesIO(name.encode()))
        self.objects = {BASE: archive.getvalue()}

    async def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    async def write(self, key: str, content: bytes) -> None:
        self.objects[key] = content


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = Client(broker.socket, owner="files")
    yield client
    for box in await client.boxes():
        await client.destroy(box["id"])
    await client.close()


def hands(client: Client, store: Store, snapshot: str | None = None, **policy: Any) -> RestoredHands:
    """What a process of its own has of a workspace."""
    files = Files(client, store, folder="files/run", base=BASE, policy=SnapshotPolicy(**policy))
    return RestoredHands(client, KIND, files, snapshot)


async def told(workspace: RestoredHands) -> str:
    done = await workspace.run(["python3", "-c", TELL])
    assert done.exit_code == 0, done.stderr
    return done.stdout


async def test_modes_links_names_and_times_are_the_same_in_the_next_box(client: Client) -> None:
    store = Store()
    first = hands(client, store)
    assert (await first.run("stat -c '%a %n' kept gone/two bin", shell=True)).stdout == (
        "666 kept\n602 gone/two\n777 bin\n"
    )
    assert await first.save("step-1") is None
    done = await first.run(["python3", "-c", MAKE])
    assert done.exit_code == 0, done.stderr
    assert await first.save("step-2") == "step-2"
    before = await told(first)
    await first.discard()
    second = hands(client, store, "step-2")
    assert await told(second) == before
    assert await second.save("step-3") == "step-2"
    # What is in a folder that lets nobody write is reached again.
    assert (await second.run("chmod -R u+w shut && rm -r shut", shell=True)).exit_code == 0
    assert await second.save("step-4") == "step-4"
    after = await told(second)
    await second.discard()
    assert await told(hands(client, store, "step-4")) == after


async def test_a_box_that_dies_is_told_and_the_next_one_begins_where_files_were_saved(client: Client) -> None:
    store = Store()
    workspace = hands(client, store)
    await workspace.run("echo one > notes", shell=True)
    await workspace.save("step-1")
    await workspace.run("echo two >> notes", shell=True)
    docker("kill", *docker("ps", "--quiet", "--filter", "label=triptych.owner=files"))
    with pytest.raises(WorkspaceUnavailableError):
        await workspace.read_bytes("/workspace/notes")
    assert workspace.is_lost
    assert workspace.ref == REF
    await workspace.settle()
    assert not workspace.is_lost
    assert await workspace.read_bytes("/workspace/notes") == b"one\n"


async def test_a_broker_that_is_gone_for_a_moment_costs_no_box(template: Template, docker_alone: None) -> None:
    with running_broker({KIND: template}) as broker:
        client = Client(broker.socket, owner="files")
        workspace = hands(client, Store())
        await workspace.run("echo one > notes", shell=True)
        await workspace.save("step-1")
        (box,) = await client.boxes()
        broker.kill()
        broker.start()
        await workspace.settle()
        assert [each["id"] for each in await client.boxes()] == [box["id"]]
        await workspace.run("echo two >> notes", shell=True)
        assert await workspace.save("step-2") == "step-2"
        # Half done, when it went away: not what was saved.
        await workspace.run("echo half >> notes", shell=True)
        broker.kill()
        broker.start()
        await workspace.settle()
        assert await workspace.read_bytes("/workspace/notes") == b"one\ntwo\n"
        await workspace.discard()
        assert await client.boxes() == []
        await client.close()


async def test_what_a_box_is_too_small_for_is_said(client: Client) -> None:
    store = Store()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("large")
        member.size = 200 * 1024 * 1024
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    store.objects[BASE] = archive.getvalue()
    with pytest.raises(SandboxLimitHit, match="disk_mib"):
        await hands(client, store).run(["true"])
    assert await client.boxes() == []
    store = Store()
    workspace = hands(client, store, max_snapshot_mib=1)
    await workspace.run("head -c 3000000 /dev/urandom > large", shell=True)
    with pytest.raises(SandboxLimitHit, match="max_snapshot_mib"):
        await workspace.save("step-1")
