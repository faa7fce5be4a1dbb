"""A box with egress reaches what its policy allows, with credentials that it never holds, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import textwrap
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.components.sandbox import CANARY
from tests.e2e.hands.boxes import Tried, box, report
from tests.e2e.hands.egress import (
    CLOSED,
    DNS,
    DNS_PORT,
    MISSING,
    NAMED,
    PLAIN,
    RAW,
    SECRET,
    UNTRUSTED,
    World,
    doors_of,
    get,
    port_of,
    proxy_of,
    put_secret,
)
from tests.e2e.hands.test_attacks import CONNECT, SEARCH, Listener, addresses
from tests.e2e.hands.upstreams import Upstream, bridge
from triptych.sandbox.box import Sandbox

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]


@pytest.fixture
async def hands(world: World) -> AsyncIterator[Sandbox]:
    async with box(world.broker) as made:
        yield made


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


async def test_what_is_allowed_is_reached_with_a_credential_that_never_comes_into_the_box(
    world: World, hands: Sandbox, tried: Tried
) -> None:
    assert await get(hands, world.url("/v1?q=1")) == (200, "reached")
    seen = world.allowed.seen[-1]
    assert (seen.method, seen.path) == ("GET", "/v1?q=1")
    assert seen.all("authorization") == [SECRET]
    await hands.workspace.write_text("planted", CANARY)
    results = await report(hands, SEARCH)
    tried(f"reading {results['read']} files, the environment and mounts of a box with egress for its credential")
    assert results["found"] == ["/workspace/planted"]
    assert CANARY not in json.dumps(results["env"])
    assert results["sockets"] == ["/run/egress/s"]
    listed = await hands.run(["ls", "-A", "/run/egress"])
    assert listed.stdout.split() == ["ca.pem", "s"]
    assert "PRIVATE" not in await hands.workspace.read_text("/run/egress/ca.pem")
    assert (await hands.run(["touch", "/run/egress/mine"])).exit_code != 0
    # Nor does it come into a log.
    assert CANARY not in (world.broker.folder / "broker.log").read_text()


async def test_a_header_that_the_box_sets_itself_is_replaced(world: World, hands: Sandbox) -> None:
    assert (await get(hands, world.url(), Authorization="Bearer of the box"))[0] == 200
    assert world.allowed.seen[-1].all("authorization") == [SECRET]
    thrice = b"authorization: one\r\nAUTHORIZATION: two\r\nProxy_Authorization: x\r\nProxy-Authorization: x\r\n"
    usual = b"GET / HTTP/1.1\r\nHost: %s\r\n" % authority(world)
    (answer,) = await attempt(hands, world, through_tunnel(world, usual + thrice + b"\r\n"))
    assert answer.startswith("HTTP/1.1 200")
    assert world.allowed.seen[-1].all("authorization") == [SECRET]
    assert not any("proxy" in name.lower() for name, _ in world.allowed.seen[-1].headers)


async def test_a_credential_is_read_anew_and_one_that_is_missing_is_not_left_out(world: World) -> None:
    before = world.allowed.calls
    async with box(world.broker, kind=MISSING) as made:
        status, text = await get(made, world.url())
        assert (status, text) == (502, "Triptych's egress: the credential missing for 127.0.0.1 cannot be read: "
                                       "No such file or directory\n")  # fmt: skip
        put_secret(world.broker, "missing", "two\nlines")
        assert "not one line" in (await get(made, world.url()))[1]
        assert world.allowed.calls == before
        put_secret(world.broker, "missing", "now here")
        try:
            assert (await get(made, world.url()))[0] == 200
        finally:
            (world.broker.folder / "secrets" / "missing").unlink()
        assert world.allowed.seen[-1].all("authorization") == ["now here"]
    assert "the credential missing" in (world.broker.folder / "broker.log").read_text()


def authority(world: World) -> bytes:
    return b"127.0.0.1:%d" % world.allowed.port


def send(data: bytes, **more: Any) -> dict[str, Any]:
    return {"send": base64.b64encode(data).decode(), **more}


def connect(to: bytes) -> dict[str, Any]:
    return send(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (to, to))


def through_tunnel(world: World, data: bytes, name: str = "127.0.0.1") -> list[dict[str, Any]]:
    """Connect to what is allowed, begin TLS, and send this in it."""
    return [connect(authority(world)), {"tls": name}, send(data)]


async def attempt(hands: Sandbox, world: World, *attempts: list[dict[str, Any]]) -> list[str]:
    return await report(hands, RAW, json.dumps(attempts), timeout_seconds=300)


async def test_nothing_else_is_reached(world: World, hands: Sandbox, listener: Listener, tried: Tried) -> None:
    targets, gate = addresses(), bridge()
    # At the same port, so that nothing but the address tells them apart.
    beside = Upstream(gate, world.authority.context(f"IP:{gate}"), port=world.allowed.port)
    before = world.allowed.calls
    try:
        async with box(world.broker, owner="neighbour") as neighbour:
            serve = "import socket; s = socket.create_server(('', 9999)); open('up', 'w'); s.accept(); open('hit', 'w')"
            await neighbour.run(
                f'python3 -c "{serve}" >/dev/null 2>&1 & until [ -e up ]; do sleep 0.1; done', shell=True
            )
            for port in (listener.port, world.allowed.port, 9999):
                results = await report(hands, CONNECT, json.dumps(targets), str(port))
                tried(f"with egress, connecting past the proxy to port {port} at {', '.join(targets)}: {results}")
                assert results.pop("cards") == ["lo"]
                assert results.pop("dns") == "gaierror"
                assert "reached" not in results.values()
            places = [f"{address}:{port}" for address in targets for port in (listener.port, 9999, 53)]
            places += [f"{address}:{world.allowed.port}" for address in targets if address != "127.0.0.1"]
            names = ("localhost", "127.1", "0x7f000001", "2130706433", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]",
                     "127.0.0.1.", "hands", "example.com", "169.254.169.254", "127.0.0.1@example.com")  # fmt: skip
            places += [f"{name}:{world.allowed.port}" for name in names]
            answers = await attempt(hands, world, *([connect(place.encode())] for place in places))
            # Without a tunnel as well.
            get_them = [
                send(b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (2 * (place.encode(),))) for place in places
            ]
            answers += await attempt(hands, world, *([each] for each in get_them))
            tried(f"asking the proxy for {', '.join(places)}: {sorted({each[:24].strip() for each in answers})}")
            assert all(each.startswith(("HTTP/1.1 403", "HTTP/1.1 400")) for each in answers), answers
            assert not await neighbour.workspace.exists("hit")
        assert (listener.calls, beside.calls, world.allowed.calls) == (0, 0, before)
        # They are there to be reached.
        for address, port in [*((address, listener.port) for address in targets), (gate, world.allowed.port)]:
            socket.create_connection((address, port), 3).close()
    finally:
        beside.close()
    assert (await get(hands, world.url()))[0] == 200


async def test_a_tunnel_is_for_its_host_and_for_http_alone(world: World, hands: Sandbox, tried: Tried) -> None:
    place, other = authority(world), b"127.0.0.1:%d" % world.untrusted.port
    request = b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n"
    usual = request % (b"GET", b"/", place, b"")
    attempts = {
        "another Host": through_tunnel(world, request % (b"GET", b"/", b"example.com", b"")),
        "another port as Host": through_tunnel(world, request % (b"GET", b"/", other, b"")),
        "two Hosts": through_tunnel(world, request % (b"GET", b"/", place, b"Host: example.com\r\n")),
        "no Host": through_tunnel(world, b"GET / HTTP/1.1\r\n\r\n"),
        "another SNI": through_tunnel(world, usual, "example.com"),
        "another absolute target": through_tunnel(world, request % (b"GET", b"https://" + other + b"/", other, b"")),
        "a tunnel in a tunnel": through_tunnel(world, request % (b"CONNECT", other, other, b"")),
        "TRACE": through_tunnel(world, request % (b"TRACE", b"/", place, b"")),
        "a WebSocket": through_tunnel(
            world,
            request % (b"GET", b"/", place, b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                       b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        ),
        "plain HTTP in a tunnel": [connect(place), send(usual)],
        "HTTP/2 in a tunnel": [connect(place), send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))],
        "raw bytes in a tunnel": [connect(place), send(b"\0\1\2SSH-2.0-x\r\n\r\n", shut=True)],
        "raw bytes": [send(b"\0\xff\x13\x37" * 100 + b"\r\n\r\n", shut=True)],
        "SOCKS": [send(b"\5\1\0\r\n\r\n", shut=True)],
        "plain HTTP where only https is allowed": [send(request % (b"GET", b"http://" + place + b"/", place, b""))],
        "a name at the tunnel's end": [connect(b"localhost:%d" % world.allowed.port)],
        "a header with a line break": through_tunnel(world, request % (b"GET", b"/", place, b"X: a\rb\nc: d\r\n")),
        "two lengths": through_tunnel(
            world, request % (b"POST", b"/", place, b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n"
        ),
    }  # fmt: skip
    before, seen = world.untrusted.calls + world.plain.calls, len(world.allowed.seen)
    answers = dict(zip(attempts, await attempt(hands, world, *attempts.values()), strict=True))
    tried(f"at the proxy: { ({name: each.partition(chr(13))[0][:60] for name, each in answers.items()}) }")
    reached = [name for name, each in answers.items() if each.startswith("HTTP/1.1 200") and "Connection" not in each]
    assert reached == []
    assert len(world.allowed.seen) == seen
    assert world.untrusted.calls + world.plain.calls == before
    refused = {name for name, each in answers.items() if each.startswith("HTTP/1.1 403")}
    assert refused >= {
        "another Host", "another port as Host", "two Hosts", "no Host", "another SNI", "TRACE", "a WebSocket",
        "plain HTTP in a tunnel", "plain HTTP where only https is allowed", "a name at the tunnel's end",
        "a header with a line break",
    }, answers  # fmt: skip
    # An attempt as it should be, made in the same way.
    (usually,) = await attempt(hands, world, through_tunnel(world, usual))
    assert usually.startswith("HTTP/1.1 200")
    assert len(world.allowed.seen) == seen + 1


async def test_a_redirect_leads_nowhere_else(world: World, hands: Sandbox, listener: Listener) -> None:
    def redirect(asked: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.send_response(302)
        asked.send_header("Location", f"https://127.0.0.1:{listener.port}/")
        asked.send_header("Content-Length", "0")
        asked.end_headers()

    answer, world.allowed.answer = world.allowed.answer, redirect
    try:
        status, text = await get(hands, world.url())
    finally:
        world.allowed.answer = answer
    assert (status, text) == (0, "<urlopen error Tunnel connection failed: 403 Forbidden>")
    assert listener.calls == 0


async def test_a_name_that_leads_to_this_machine_is_refused(world: World) -> None:
    before = world.allowed.calls
    async with box(world.broker, kind=NAMED) as made:
        status, text = await get(made, f"https://localhost:{world.allowed.port}/")
    assert status == 502
    assert "localhost leads to no public address" in text
    assert world.allowed.calls == before


async def test_an_upstream_that_nobody_vouches_for_gets_no_credential(world: World) -> None:
    async with box(world.broker, kind=UNTRUSTED) as made:
        status, text = await get(made, f"https://127.0.0.1:{world.untrusted.port}/")
    assert status == 502
    assert "verify failed" in text
    assert world.untrusted.seen == []


async def test_plain_http_is_a_rule_of_its_own(world: World) -> None:
    async with box(world.broker, kind=PLAIN) as made:
        assert await get(made, f"http://127.0.0.1:{world.plain.port}/") == (200, "reached")
        assert world.plain.seen[-1].all("x-api-key") == [SECRET]
        # Many a server takes this for the same name.
        assert (await get(made, f"http://127.0.0.1:{world.plain.port}/", X_Api_Key="the box's"))[0] == 200
        assert [value for name, value in world.plain.seen[-1].headers if "api" in name.lower()] == [SECRET]
        before = world.plain.calls
        assert (await get(made, f"https://127.0.0.1:{world.plain.port}/"))[0] == 0
        assert world.plain.calls == before


async def test_what_is_taken_for_dns_is_not_passed_on(world: World, tried: Tried) -> None:
    asked = b"\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
    there = Upstream("127.0.0.1", port=DNS_PORT)
    try:
        async with box(world.broker, kind=DNS) as made:
            place = b"127.0.0.1:%d" % DNS_PORT
            (answer,) = await attempt(made, world, [connect(place), send(asked, shut=True)])
        tried(f"a DNS question through a tunnel that is allowed: {answer!r}")
        assert there.calls == 0
    finally:
        there.close()


async def test_without_egress_there_is_no_way_out_at_all(world: World) -> None:
    async with box(world.broker, kind=CLOSED) as made:
        done = await made.run(["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 3128), 3)"])
        assert "ConnectionRefusedError" in done.stderr
        assert not await made.workspace.exists("/run/egress")
        assert "PROXY" not in (await made.run(["env"])).stdout.upper()


KNOCK = """
    import socket, sys
    caller = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
    caller.settimeout(30)
    caller.sendall(b"GET https://%s/ HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % (2 * (sys.argv[2].encode(),)))
    try:
        print(caller.recv(100))
    except ConnectionResetError:
        print(b"")
"""


@pytest.mark.parametrize("user", [65534, 0])
async def test_no_other_process_of_this_machine_gets_at_the_credentials(
    world: World, hands: Sandbox, user: int, tried: Tried
) -> None:
    assert (await get(hands, world.url()))[0] == 200
    before, proxy = world.allowed.calls, proxy_of(world.broker)
    assert proxy is not None
    command = ["/usr/bin/python3", "-c", textwrap.dedent(KNOCK), str(port_of(proxy)), authority(world).decode()]
    if os.getuid() != 0:
        pytest.skip("component docker is missing: only root can be somebody else here")
    done = await asyncio.to_thread(
        subprocess.run, command, user=user, group=user, capture_output=True, text=True, check=True
    )
    tried(f"using the proxy as user {user} of this machine: {done.stdout.strip()}")
    assert done.stdout == "b''\n"
    if user != 0:
        # Nor by the way that a box takes.
        (door,) = doors_of(world.broker)
        world.broker.folder.chmod(0o755)
        knock = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        command = ["/usr/bin/python3", "-c", knock, str(door / "s")]
        done = await asyncio.to_thread(subprocess.run, command, user=user, group=user, capture_output=True, text=True)
        assert "PermissionError" in done.stderr
    assert world.allowed.calls == before


async def test_long_bodies_pass_both_ways_side_by_side(world: World, hands: Sandbox) -> None:
    program = """
        import concurrent.futures, json, os, sys, urllib.request
        def one(number):
            data = bytes([number]) * 3_000_000
            with urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=data), timeout=60) as answer:
                return answer.read() == data
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            print(json.dumps(list(pool.map(one, range(16)))))
    """

    def echo(asked: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)

    answer, world.allowed.answer = world.allowed.answer, echo
    try:
        assert await report(hands, program, world.url(), timeout_seconds=120) == [True] * 16
    finally:
        world.allowed.answer = answer


async def test_a_flood_of_connections_disturbs_neither_the_box_nor_another(world: World, hands: Sandbox) -> None:
    program = """
        import json, socket, sys, time
        held = []
        for place in [("tcp", None)] * 300 + [("unix", None)] * 300:
            try:
                if place[0] == "tcp":
                    held.append(socket.create_connection(("127.0.0.1", 3128), 3))
                else:
                    there = socket.socket(socket.AF_UNIX)
                    there.connect("/run/egress/s")
                    held.append(there)
            except OSError:
                pass
        open("held", "w").close()
        time.sleep(3600)
    """
    flooding = asyncio.create_task(hands.run(["python3", "-c", textwrap.dedent(program)]))
    async with asyncio.timeout(60), box(world.broker, owner="neighbour") as neighbour:
        while not await hands.workspace.exists("held"):
            await asyncio.sleep(0.05)
        assert (await hands.run(["echo", "alive"])).stdout == "alive\n"
        assert (await get(neighbour, world.url()))[0] == 200
    flooding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flooding
    async with asyncio.timeout(60):
        while (await get(hands, world.url()))[0] != 200:
            await asyncio.sleep(0.1)
