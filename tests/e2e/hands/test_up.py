"""`triptych up` has a broker where there is a Docker, and what is edited in Prefect is in force there."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.components import require
from tests.components.sandbox import KIND
from tests.e2e.hands.boxes import docker
from tests.e2e.stack import Home, Up, poll
from triptych.errors import ConfigurationError
from triptych.sandbox.box import Sandbox
from triptych.settings import Settings

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone", "hands_image")]


def sandbox(up: Up, kind: str = KIND) -> Sandbox:
    return Sandbox.create(kind, folder=Settings(home=up.folder).sandbox_folder, owner="Mia")


def document(up: Up) -> dict[str, str]:
    return up.get(f"block_types/slug/sandbox-policy/block_documents/name/{KIND}")


async def memory_limit(up: Up) -> int:
    async with sandbox(up):
        (seen,) = up.json("sandboxes")
        assert (seen["owner"], seen["template"]) == ("Mia", KIND)
        assert seen["memory_bytes"] > 0
        assert seen["container"] in up.run("sandboxes").stdout
        return json.loads(docker("inspect", "--format", "{{json .HostConfig.Memory}}", seen["container"])[0]) // 2**20


def test_a_policy_is_edited_in_prefect_and_in_force_for_the_next_box(up: Up) -> None:
    assert asyncio.run(memory_limit(up)) == 512 + 512 + 128
    assert up.json("sandboxes") == []
    assert up.json("reap") == {"ended": 0}
    up.patch(f"block_documents/{document(up)['id']}", {"data": {"memory_mib": 256}})
    poll("the edited limit", lambda: asyncio.run(memory_limit(up)) == 256 + 512 + 128)


async def is_refused(up: Up) -> bool:
    try:
        async with sandbox(up):
            return False
    except ConfigurationError as error:
        return "there is no sandbox template" in str(error)


def test_a_policy_that_cannot_be_makes_no_box_and_says_why(up: Up) -> None:
    up.patch(f"block_documents/{document(up)['id']}", {"data": {"memory_mib": 1}})
    poll("its refusal", lambda: asyncio.run(is_refused(up)))
    log = up.folder / "logs" / "recovery.log"
    poll("the reason", lambda: "memory_mib: Input should be greater than or equal to 64" in log.read_text())
    up.patch(f"block_documents/{document(up)['id']}", {"data": {"memory_mib": 512}})
    poll("its box", lambda: not asyncio.run(is_refused(up)))


async def has_door(up: Up) -> bool:
    async with sandbox(up) as made:
        return await made.workspace.exists("/run/egress/s")


def test_egress_is_edited_there_as_well(up: Up) -> None:
    require("egress")
    assert not asyncio.run(has_door(up))
    rules = [{"host": "api.example.com", "header": "Authorization", "secret": "example"}]
    up.patch(f"block_documents/{document(up)['id']}", {"data": {"egress": rules}})
    poll("its door", lambda: asyncio.run(has_door(up)))
    up.patch(f"block_documents/{document(up)['id']}", {"data": {"egress": [{"host": "*"}]}})
    poll("its refusal", lambda: asyncio.run(is_refused(up)))
    log = up.folder / "logs" / "recovery.log"
    poll("the reason", lambda: "egress.0.host: Value error, neither a DNS name" in log.read_text())
    up.patch(f"block_documents/{document(up)['id']}", {"data": {"egress": []}})
    poll("its box", lambda: not asyncio.run(is_refused(up)))


def test_without_a_broker_the_commands_say_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    for command in ("sandboxes", "reap"):
        assert "does not answer" in home.run(command, code=1).stderr


def test_up_says_what_a_broker_lacks(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    try:
        said = home.run("up", DOCKER_HOST=f"unix://{home.folder}/nowhere.sock").stderr
        assert "no sandbox: no Docker Engine answers at" in said
    finally:
        home.run("down")
