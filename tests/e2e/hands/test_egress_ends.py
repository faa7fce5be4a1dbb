"""The proxy and the doors of boxes end with those whom they serve, and come back with them."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.components import require
from tests.components.sandbox import KIND, Broker, running_broker
from tests.e2e.hands.boxes import box, containers_of, docker, everything_of_docker, inspect
from tests.e2e.hands.egress import CLOSED, SECRET, doors_of, get, proxy_of, put_secret
from tests.e2e.hands.upstreams import Authority, Upstream
from tests.e2e.stack import poll
from triptych.errors import ConfigurationError
from triptych.sandbox.policy import Egress, Template

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def upstream(authority: Authority) -> Iterator[Upstream]:
    upstream = Upstream("127.0.0.1", authority.context("IP:127.0.0.1"))
    yield upstream
    upstream.close()


def rule(upstream: Upstream) -> Egress:
    return Egress(host="127.0.0.1", port=upstream.port, header="Authorization", secret="key")


@pytest.fixture
def brief(docker_alone: None, template: Template, authority: Authority, upstream: Upstream) -> Iterator[Broker]:
    """A broker of the test's own, whose boxes have a short lease and egress."""
    require("egress")
    closed = template.model_copy(update={"lease_seconds": 5.0})
    templates = {KIND: closed.model_copy(update={"egress": (rule(upstream),)}), CLOSED: closed}
    with running_broker(templates, env={"SSL_CERT_FILE": str(authority.certificate)}) as broker:
        put_secret(broker)
        yield broker


def proxy(broker: Broker) -> psutil.Process:
    found = proxy_of(broker)
    assert found is not None
    return found


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def url(upstream: Upstream) -> str:
    return f"https://127.0.0.1:{upstream.port}/"


async def test_there_is_a_proxy_once_a_box_needs_it_and_one_for_all(brief: Broker, upstream: Upstream) -> None:
    async with box(brief, kind=CLOSED):
        assert proxy_of(brief) is None
        assert doors_of(brief) == []
    before = everything_of_docker()
    async with box(brief) as one, box(brief) as two:
        assert len(doors_of(brief)) == 2
        assert {(await get(each, url(upstream)))[0] for each in (one, two)} == {200}
        for container in containers_of(brief):
            found = inspect(container)
            assert found["HostConfig"]["NetworkMode"] == "none"
            (mount,) = found["Mounts"]
            assert (mount["Destination"], mount["RW"]) == ("/run/egress", False)
            assert Path(mount["Source"]) in doors_of(brief)
        only = proxy(brief)
    assert doors_of(brief) == []
    assert everything_of_docker() == before
    # It stays for the next one, and goes with the broker.
    assert not is_gone(only)
    brief.stop()
    assert is_gone(only)


async def test_one_that_is_killed_is_started_again_for_the_next_request(brief: Broker, upstream: Upstream) -> None:
    async with box(brief) as made:
        for _ in range(3):
            assert await get(made, url(upstream)) == (200, "reached")
            killed = proxy(brief)
            killed.kill()
            poll("its end", lambda killed=killed: is_gone(killed), seconds=20)
            status, _ = await get(made, url(upstream))
            # The one at whose asking the broker found out may be told so.
            assert status in (200, 0, 502)
            assert await get(made, url(upstream)) == (200, "reached")
            assert proxy(brief).pid != killed.pid
        assert (await made.run(["echo", "alive"])).stdout == "alive\n"
    assert upstream.seen[-1].all("authorization") == [SECRET]


async def test_one_that_a_box_fills_ends_before_the_machine_is_full(brief: Broker, upstream: Upstream) -> None:
    program = """
        import socket
        for _ in range(20):
            try:
                there = socket.create_connection(("127.0.0.1", 3128), 10)
                for _ in range(2000):
                    there.sendall(b"X: " + b"y" * 1_000_000 + b"\\r\\n")
            except OSError:
                pass
    """
    async with box(brief) as greedy, box(brief) as made:
        assert await get(made, url(upstream)) == (200, "reached")
        filled = proxy(brief)
        filling = asyncio.create_task(greedy.run(["python3", "-c", textwrap.dedent(program)], timeout_seconds=120))
        most = 0
        async with asyncio.timeout(60):
            while not is_gone(filled):
                with contextlib.suppress(psutil.Error):
                    most = max(most, filled.memory_info().rss)
                await asyncio.sleep(0.05)
        filling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await filling
        assert 2**28 < most < 2**30
        async with asyncio.timeout(60):
            while (await get(made, url(upstream)))[0] != 200:
                await asyncio.sleep(0.2)
    assert "it has filled 512 MiB" in (brief.folder / "broker.log").read_text()


async def test_it_ends_with_a_broker_that_is_killed_and_the_box_finds_the_next_one(
    brief: Broker, upstream: Upstream
) -> None:
    async with box(brief) as made:
        assert (await get(made, url(upstream)))[0] == 200
        orphan = proxy(brief)
        brief.kill()
        poll("its end", lambda: is_gone(orphan), seconds=20)
        left_over = brief.folder / "egress" / "0123abcd"
        left_over.mkdir()
        brief.start()
        assert await get(made, url(upstream)) == (200, "reached")
        assert upstream.seen[-1].all("authorization") == [SECRET]
        assert not left_over.exists()
        assert len(doors_of(brief)) == 1
    assert doors_of(brief) == []


async def test_a_door_is_gone_however_its_box_ends(brief: Broker, upstream: Upstream) -> None:
    async with box(brief) as made:
        assert (await get(made, url(upstream)))[0] == 200
        docker("kill", *containers_of(brief))
        poll("the door's end", lambda: not doors_of(brief))
    async with box(brief):
        brief.kill()
        docker("kill", *containers_of(brief))
        poll("the box's end", lambda: not containers_of(brief))
        assert len(doors_of(brief)) == 1
        brief.start()
        assert doors_of(brief) == []


async def test_what_goes_through_a_door_ends_with_the_box(brief: Broker, upstream: Upstream) -> None:
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def hang(asked: Any, body: bytes) -> None:
        loop.call_soon_threadsafe(hanging.set)
        asked.rfile.read(1)
        loop.call_soon_threadsafe(ended.set)

    upstream.answer = hang
    async with box(brief) as made:
        ask = f"import urllib.request; urllib.request.urlopen('{url(upstream)}')"
        # It goes on asking until its box ends.
        await made.run(f'setsid python3 -c "{ask}" >/dev/null 2>&1 &', shell=True)
        async with asyncio.timeout(60):
            await hanging.wait()
        assert not ended.is_set()
    async with asyncio.timeout(60):
        await ended.wait()


async def test_an_edited_policy_is_in_force_for_the_next_box(
    brief: Broker, upstream: Upstream, authority: Authority, template: Template
) -> None:
    second = Upstream("127.0.0.1", authority.context("IP:127.0.0.1"))
    try:
        async with box(brief) as earlier:
            brief.put_in_force({KIND: template.model_copy(update={"egress": (rule(second),)})})
            async with box(brief) as later:
                assert [(await get(earlier, url(each)))[0] for each in (upstream, second)] == [200, 0]
                assert [(await get(later, url(each)))[0] for each in (upstream, second)] == [0, 200]
            brief.put_in_force({KIND: template})
            async with box(brief) as later:
                assert not await later.workspace.exists("/run/egress")
    finally:
        second.close()


async def test_without_mitmproxy_such_a_box_is_refused_with_what_to_do(template: Template) -> None:
    kinds = {KIND: template.model_copy(update={"egress": (Egress(host="example.com"),)}), CLOSED: template}
    with running_broker(kinds, env={"TRIPTYCH_PROXY_COMMAND": "no-mitmdump-here"}) as broker:
        with pytest.raises(ConfigurationError, match="uv tool install mitmproxy"):
            async with box(broker):
                pass
        assert containers_of(broker) == []
        assert doors_of(broker) == []
        async with box(broker, kind=CLOSED) as made:
            assert (await made.run(["true"])).exit_code == 0
