"""A box is gone when its owner is: in every way an owner, a box or a broker can end."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_ai.workspaces import WorkspaceUnavailableError

from tests.components.sandbox import KIND, Broker, running_broker
from tests.e2e.hands.boxes import box, containers_of, docker, everything_of_docker, identity_of, inspect
from tests.e2e.stack import poll
from triptych.errors import SandboxUnavailable
from triptych.sandbox.client import Client
from triptych.sandbox.policy import Template
from triptych.sandbox.workspace import HandsBackend

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]
LEASE_SECONDS = 5.0


@pytest.fixture
def brief(template: Template) -> Iterator[Broker]:
    """A broker of the test's own, whose boxes have a short lease."""
    brief = template.model_copy(update={"lease_seconds": LEASE_SECONDS})
    with running_broker({KIND: brief, "short-lived": brief.model_copy(update={"lifetime_seconds": 3.0})}) as broker:
        yield broker


OWNER = """
    import asyncio, sys
    from pathlib import Path
    from triptych.sandbox.box import Sandbox

    async def main():
        async with Sandbox.create("coding-agent-python", folder=Path(sys.argv[1])) as box:
            await box.workspace.write_text("sign", "mine")
            print("ready", flush=True)
            await asyncio.sleep(3600)

    asyncio.run(main())
"""


def start_owner(broker: Broker) -> subprocess.Popen[str]:
    """Start a process that has a box, and wait until it has."""
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(broker.folder)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    return owner


def end_owner(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    if owner.stdout is not None:
        owner.stdout.close()


async def test_it_is_gone_after_success_and_after_failure(brief: Broker) -> None:
    before = everything_of_docker()
    async with box(brief) as made:
        assert len(containers_of(brief)) == 1
        await made.run(["true"])
    assert everything_of_docker() == before

    async def fail() -> None:
        async with box(brief):
            assert len(containers_of(brief)) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert everything_of_docker() == before


async def test_it_is_gone_when_its_owner_is_cancelled(brief: Broker) -> None:
    ready = asyncio.Event()

    async def work() -> None:
        async with box(brief) as made:
            ready.set()
            await made.run(["sleep", "3600"])

    working = asyncio.create_task(work())
    await ready.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    poll("its end", lambda: not containers_of(brief))


def test_it_is_gone_when_its_owner_is_killed_and_not_before(brief: Broker) -> None:
    owner = start_owner(brief)
    try:
        # Longer than the lease, which the owner renews.
        with pytest.raises(AssertionError, match="not within"):
            poll("its end", lambda: not containers_of(brief), seconds=2 * LEASE_SECONDS)
    finally:
        end_owner(owner)
    poll("its end", lambda: not containers_of(brief), seconds=2 * LEASE_SECONDS)


def test_it_is_gone_when_owner_and_broker_are_killed_for_good(brief: Broker) -> None:
    """Nobody is left to end it: it does so by itself."""
    owner = start_owner(brief)
    brief.kill()
    end_owner(owner)
    poll("its end", lambda: not containers_of(brief), seconds=3 * LEASE_SECONDS)


async def test_it_is_gone_at_the_end_of_its_life_whatever_its_owner_does(brief: Broker) -> None:
    async with box(brief, kind="short-lived") as made:
        poll("its end", lambda: not containers_of(brief), seconds=20)
        with pytest.raises(WorkspaceUnavailableError):
            await made.run(["true"])


async def test_one_that_is_ended_from_outside_is_unavailable(brief: Broker) -> None:
    async with box(brief) as made:
        sleeping = asyncio.create_task(made.run(["sleep", "3600"]))
        await made.run(["true"])
        docker("kill", *containers_of(brief))
        with pytest.raises(WorkspaceUnavailableError):
            await sleeping
        with pytest.raises(WorkspaceUnavailableError):
            await made.workspace.exists("x")
    poll("its end", lambda: not containers_of(brief))


async def test_a_broker_that_is_killed_finds_its_boxes_again(brief: Broker) -> None:
    async with box(brief) as made:
        await made.workspace.write_text("sign", "mine")
        # The broker dies in the middle of a command and of a file.
        running = asyncio.create_task(made.run("echo $$ > pid; exec sleep 3600", shell=True))
        async with asyncio.timeout(60):
            while not await made.workspace.exists("pid"):
                await asyncio.sleep(0.05)
        writing = asyncio.create_task(made.workspace.write_bytes("big", bytes(100 * 2**20)))
        brief.kill()
        for task in (running, writing):
            with pytest.raises(SandboxUnavailable):
                await task
        brief.start()
        assert await made.workspace.read_text("sign") == "mine"
        # Nobody waits for that command any more.
        async with asyncio.timeout(60):
            while (await made.run("kill -0 $(cat pid)", shell=True)).exit_code == 0:
                await asyncio.sleep(0.05)
        await made.workspace.write_bytes("big", bytes(range(256)) * 4096)
        assert await made.workspace.read_bytes("big") == bytes(range(256)) * 4096
    poll("its end", lambda: not containers_of(brief))


async def test_a_broker_that_is_told_to_stop_takes_its_boxes_along(brief: Broker) -> None:
    before = everything_of_docker()
    client = Client(brief.socket)
    await HandsBackend(client, template=KIND).working_dir()
    brief.stop()
    await client.close()
    assert everything_of_docker() == before


def test_what_is_not_ours_is_never_touched(brief: Broker, template: Template) -> None:
    labels = {"mine": f"triptych.hands={identity_of(brief)}", "another": "triptych.hands=another", "plain": "x=y"}
    made = {
        name: docker("create", "--label", label, template.image, "sleep", "3600")[0] for name, label in labels.items()
    }
    try:
        # One that was made and not started, as by a broker that was killed between the two.
        brief.kill()
        brief.start()
        poll("the end of ours", lambda: made["mine"] not in everything_of_docker()["containers"])
        assert {made["another"], made["plain"]} <= set(everything_of_docker()["containers"])
    finally:
        docker("rm", "--force", made["another"], made["plain"])


async def test_twenty_rounds_of_random_kills_leave_nothing(template: Template, seed: int) -> None:
    before, chance = everything_of_docker(), random.Random(seed)
    brief = template.model_copy(update={"lease_seconds": LEASE_SECONDS})
    with running_broker({KIND: brief}) as broker:
        for _ in range(20):
            owners = [start_owner(broker) for _ in range(chance.randint(1, 2))]
            victims = chance.sample(["owner", "broker", "box"], chance.randint(1, 3))
            for victim in victims:
                if victim == "owner":
                    end_owner(owners[0])
                elif victim == "broker":
                    broker.kill()
                    broker.start()
                elif boxes := containers_of(broker)[:1]:
                    # That of an owner who ended is taken away at the same time, and may be gone already.
                    subprocess.run(["docker", "kill", *boxes], capture_output=True, check=False, timeout=60)
            for owner in owners:
                end_owner(owner)
        poll("the end of all", lambda: not containers_of(broker), seconds=4 * LEASE_SECONDS)
    assert everything_of_docker() == before


async def test_there_are_only_so_many_at_once(template: Template) -> None:
    with running_broker({KIND: template.model_copy(update={"boxes": 2})}) as broker:
        async with box(broker), box(broker):
            with pytest.raises(SandboxUnavailable, match="2 boxes of the kind"):
                async with box(broker):
                    pass
        async with box(broker) as made:
            assert (await made.run(["true"])).exit_code == 0


async def test_ten_live_side_by_side(broker: Broker) -> None:
    async def live(number: int) -> str:
        async with box(broker) as made:
            await made.workspace.write_text("number", str(number))
            return (await made.run(["cat", "number"])).stdout

    assert await asyncio.gather(*map(live, range(10))) == [str(number) for number in range(10)]
    assert not containers_of(broker)


async def test_a_clone_is_fetched_outside(broker: Broker, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=Una", "-c", "user.email=una@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "code.py").write_text("print('one')\n")
    git("add", ".")
    git("commit", "--quiet", "--message=one")
    git("tag", "v1")
    (tmp_path / "code.py").write_text("print('two')\n")
    git("commit", "--quiet", "--all", "--message=two")
    async with box(broker) as made:
        await made.clone(str(tmp_path), "repo")
        assert (await made.run("cd repo && python3 code.py && git status --short", shell=True)).stdout == "two\n"
        await made.clone(str(tmp_path), "old", ref="v1")
        assert (await made.run(["python3", "old/code.py"])).stdout == "one\n"


def test_a_container_is_what_its_template_says(brief: Broker, template: Template) -> None:
    owner = start_owner(brief)
    try:
        (container,) = containers_of(brief)
        found = inspect(container)
    finally:
        end_owner(owner)
    host = found["HostConfig"]
    total = (template.memory_mib + template.disk_mib + template.tmp_mib) * 2**20
    assert found["Config"]["User"] == "10001:10001"
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (total, total, template.pids)
    assert not host["Privileged"]
    assert not (host["Binds"] or host["Mounts"] if "Mounts" in host else host["Binds"])
    assert found["Mounts"] == []
    assert host["AutoRemove"] is True
