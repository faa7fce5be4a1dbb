"""The patch of what an agent has left, whatever it has left: nothing hides a change, nothing is taken for an outage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.components.sandbox import Broker
from tests.e2e.hands.test_files import BASE, Store, hands
from tests.unit.repositories.repository import Repository
from triptych.repositories.patches import inspect, shorten
from triptych.repositories.records import PatchSummary, Refused
from triptych.repositories.sources import pack_repository
from triptych.runtime.coding.extracting import read_patch
from triptych.sandbox.client import Client

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("docker_alone")]

CHANGE = "printf 'import os\\nos.system(\"evil\")\\n' > app.py; "


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = Client(broker.socket, owner="extracting")
    yield client
    for box in await client.boxes():
        await client.destroy(box["id"])
    await client.close()


async def left(client: Client, folder: Path, command: str) -> bytes | Refused:
    """Return the patch of what a command leaves in a repository."""
    owner = Repository(folder / "owner")
    owner.write("app.py", "one = 1\n")
    owner.commit("first")
    packed = await pack_repository(owner.path, "HEAD", folder / "source.tar")
    store = Store()
    store.objects[BASE] = (folder / "source.tar").read_bytes()
    workspace = hands(client, store)
    assert (await workspace.run(CHANGE + command, shell=True)).exit_code == 0
    assert await workspace.save("step-1") is not None
    await workspace.discard()
    return await read_patch(hands(client, store, "step-1"), store.objects[BASE], packed.commit)


@pytest.mark.parametrize(
    "command",
    [
        "true",
        "printf '*.py binary\\n' > .gitattributes; printf '.gitattributes\\n.gitignore\\n' > .gitignore",
        "mkdir -p .git/info; printf '*.py -diff working-tree-encoding=UTF-99\\n' > .git/info/attributes",
        "mkdir -p .git/x; touch .git/x/y; chmod 555 .git/x",
        "rm -rf .git; mkdir real; ln -s real .git",
    ],
)
async def test_a_change_is_read_as_text(client: Client, tmp_path: Path, command: str) -> None:
    patch = await left(client, tmp_path, command)
    assert isinstance(patch, bytes)
    assert isinstance(await inspect(patch), PatchSummary)
    assert '+os.system("evil")' in shorten(patch, 200)


@pytest.mark.parametrize("command", ["git init -q sub; touch sub/a", "touch 'git~1'"])
async def test_what_git_cannot_take_is_refused(client: Client, tmp_path: Path, command: str) -> None:
    refused = await left(client, tmp_path, command)
    assert isinstance(refused, Refused)
    assert "git cannot read what the agent has left" in refused.reason
