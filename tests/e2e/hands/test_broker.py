"""Whatever a caller sends, it gets no more than its template and nobody else's box."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.components.sandbox import KIND, Broker
from tests.e2e.hands.boxes import box, containers_of, docker, everything_of_docker, identity_of, inspect
from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox.box import Sandbox
from triptych.sandbox.client import BoxLost, Client
from triptych.sandbox.folder import brains_socket_path, templates_path
from triptych.sandbox.policy import Template, load
from triptych.sandbox.snapshots import SnapshotPolicy

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]

WIDER = [
    "image", "name", "mounts", "binds", "volumes", "devices", "privileged", "cap_add", "network", "network_mode", "env",
    "memory_mib", "pids", "user", "entrypoint", "cmd", "labels", "runtime", "owner", "HostConfig", "lease_seconds",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
PATHS = st.sampled_from(["/", "/..", "/../../etc/passwd", "/proc/1/root/etc", "/workspace/../../..", "/a\0b", "a", ""])


@pytest.fixture
async def http(broker: Broker) -> AsyncIterator[httpx.AsyncClient]:
    """The bare service, without our client's good manners."""
    transport = httpx.AsyncHTTPTransport(uds=str(broker.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker", timeout=60) as http:
        yield http


@pytest.mark.parametrize("field", WIDER)
async def test_nobody_asks_for_more_than_a_template(http: httpx.AsyncClient, broker: Broker, field: str) -> None:
    before = containers_of(broker)
    for value in ("host", ["/:/host"], True, {"/": {"bind": "/host"}}, 10**9):
        answer = await http.post("/boxes", json={"template": KIND, field: value})
        assert answer.status_code == 400
        assert field in answer.json()["message"]
    assert containers_of(broker) == before


async def test_what_is_sent_at_random_gets_nothing(http: httpx.AsyncClient, broker: Broker, seed: int) -> None:
    before = everything_of_docker()
    async with box(broker) as made:
        ours = (await boxes_of_tests(broker))[0]["id"]
        (container,) = containers_of(broker)
        as_made = inspect(container)["HostConfig"]

        async def send(body: Any, what: str, path: str) -> None:
            content = json.dumps(body).encode()
            for url in ("/boxes", f"/boxes/{ours}/{what}", f"/boxes/{ours}{path}/run", "/boxes/../boxes/x/run"):
                answer = await http.post(url, content=content)
                assert answer.status_code in (400, 404, 405, 410, 422), (url, body, answer.text)

        loop = asyncio.get_running_loop()

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(body=JSON, what=st.sampled_from(["run", "files", "content", "tree", "mark", "changes"]), path=PATHS)
        def fuzz(body: Any, what: str, path: str) -> None:
            asyncio.run_coroutine_threadsafe(send(body, what, path.replace("\0", "%00")), loop).result(60)

        await asyncio.to_thread(fuzz)
        assert containers_of(broker) == [container]
        assert inspect(container)["HostConfig"] == as_made
        assert (await made.run(["echo", "alive"])).stdout == "alive\n"
    assert everything_of_docker() == before


async def boxes_of_tests(broker: Broker) -> list[dict[str, Any]]:
    client = Client(broker.socket, owner="tests")
    try:
        return await client.boxes()
    finally:
        await client.close()


async def test_another_owners_box_is_none(broker: Broker) -> None:
    async with box(broker, owner="mia") as hers:
        await hers.workspace.write_text("diary", "dear")
        mia, max_ = Client(broker.socket, owner="mia"), Client(broker.socket, owner="max")
        try:
            (seen,) = await mia.boxes()
            assert await max_.boxes() == []
            for attempt in (
                max_.run(seen["id"], ["cat", "diary"], {}, None),
                max_.file(seen["id"], "stat", "/workspace/diary"),
                max_.put(seen["id"], "content", "/workspace/diary", b"x"),
                max_.mark(seen["id"], SnapshotPolicy().told()),
                max_.lay(seen["id"], b"{}\n"),
                max_.renew(seen["id"]),
            ):
                with pytest.raises(BoxLost):
                    await attempt
            await max_.destroy(seen["id"])
            assert await hers.workspace.read_text("diary") == "dear"
        finally:
            await mia.close()
            await max_.close()


@pytest.mark.parametrize(
    ("argv", "env", "timeout", "complaint"),
    [
        ([], {}, None, "argv"),
        (["x" * 200_000], {}, None, "131072 bytes"),
        (["true"], {"A=B": "x"}, None, "env"),
        (["true"], {"A": "x\0y"}, None, "NUL"),
        (["true"], {}, -1.0, "timeout_seconds"),
    ],
)
async def test_a_command_that_cannot_be_is_refused(
    broker: Broker, argv: list[str], env: dict[str, str], timeout: float | None, complaint: str
) -> None:
    async with box(broker):
        client = Client(broker.socket, owner="tests")
        try:
            (made,) = await client.boxes()
            with pytest.raises(ConfigurationError, match=complaint):
                await client.run(made["id"], argv, env, timeout)
        finally:
            await client.close()


CALLER = """
    import json, socket, sys
    def ask(method, path, body=""):
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(sys.argv[1])
        caller.sendall(f"{method} {path} HTTP/1.1\\r\\nHost: b\\r\\nX-Triptych-Owner: mia\\r\\nConnection: close\\r\\n"
                       f"Content-Length: {len(body)}\\r\\n\\r\\n{body}".encode())
        answer = b""
        while data := caller.recv(65536):
            answer += data
        head, _, rest = answer.partition(b"\\r\\n\\r\\n")
        return int(head.split()[1]), json.loads(rest)
    made = ask("POST", "/boxes", '{"template": "coding-agent-python"}')
    print(json.dumps([made, ask("GET", "/boxes"), ask("POST", "/reap"), ask("DELETE", f"/boxes/{made[1].get('id')}")]))
"""


def from_container(
    broker: Broker, template: Template, *labels: str, socket: Path | None = None, program: str = CALLER
) -> list[Any]:
    """Ask from a container that sees the brains' socket, or another, with these labels."""
    seen = socket or brains_socket_path(broker.folder)
    more = [word for label in labels for word in ("--label", label.replace("OURS", identity_of(broker)))]
    command = ["run", "--rm", "--network", "none", "--volume", f"{seen.parent}:/broker", *more]
    (line,) = docker(*command, template.image, "python3", "-c", textwrap.dedent(program), "/broker/broker.sock")
    return json.loads(line)


BRAIN = ("triptych.brain=OURS", "io.prefect.flow-run-id=run-1")


async def test_a_brains_container_is_its_run_whatever_it_says(broker: Broker, template: Template) -> None:
    async with box(broker, owner="mia"):
        answers = from_container(broker, template, *BRAIN)
        (made, listed, reaped, ended) = answers
        assert made[0] == 201
        # It says that it is Mia, and sees nothing of hers.
        assert [each["owner"] for each in listed[1]] == ["run:run-1"]
        assert reaped[0] == 403
        assert ended[0] == 200


@pytest.mark.parametrize(
    "labels",
    [
        (),
        ("triptych.brain=OURS",),
        ("io.prefect.flow-run-id=run-1",),
        ("triptych.brain=another-home", "io.prefect.flow-run-id=run-1"),
        (*BRAIN, "triptych.hands=x"),
    ],
)
def test_any_other_container_is_a_stranger(broker: Broker, template: Template, labels: tuple[str, ...]) -> None:
    before = containers_of(broker)
    answers = from_container(broker, template, *labels)
    assert [status for status, _ in answers] == [403] * 4
    assert containers_of(broker) == before


def test_no_container_is_ever_this_machine(broker: Broker, template: Template) -> None:
    answers = from_container(broker, template, *BRAIN, socket=broker.socket)
    assert [status for status, _ in answers] == [403] * 4


async def test_this_machine_is_no_brain(broker: Broker) -> None:
    client = Client(brains_socket_path(broker.folder))
    try:
        with pytest.raises(ConfigurationError, match="for brains in their containers"):
            await client.boxes()
    finally:
        await client.close()


HANDED_ON = """
    import json, os, socket, sys
    def ask(caller, path):
        caller.sendall(f"GET {path} HTTP/1.1\\r\\nHost: b\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
        return int(caller.recv(65536).split()[1])
    mine, its = socket.socketpair()
    child = os.fork()
    if child == 0:
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(sys.argv[1])
        socket.send_fds(its, [b"x"], [caller.fileno()])
        its.recv(1)
        os._exit(0)
    _, (given,), _, _ = socket.recv_fds(mine, 1, 1)
    caller = socket.socket(fileno=given)
    told = [ask(caller, "/boxes")]
    mine.send(b"x")
    # From now on its number may be anybody's.
    os.waitpid(child, 0)
    print(json.dumps([*told, ask(caller, "/boxes"), ask(caller, "/brains")]))
"""


def test_a_connection_that_was_handed_on_is_whose_it_was(broker: Broker, template: Template) -> None:
    # Not a host's, and not unknown either: it was looked up when it was made.
    assert from_container(broker, template, *BRAIN, program=HANDED_ON) == [200, 200, 403]


MANY = """
    import json, socket, sys
    def ask():
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(20)
        caller.connect(sys.argv[1])
        caller.sendall(b"GET /boxes HTTP/1.1\\r\\nHost: b\\r\\nContent-Length: 0\\r\\n\\r\\n")
        return caller, int(caller.recv(65536).split()[1])
    held = [ask() for _ in range(300)]
    print(json.dumps([sum(status == 200 for _, status in held), sum(status == 403 for _, status in held)]))
"""


async def test_a_brain_with_many_connections_keeps_nobody_else_out(broker: Broker, template: Template) -> None:
    assert from_container(broker, template, *BRAIN, program=MANY) == [256, 44]
    async with box(broker, owner="mia") as made:
        assert (await made.run(["true"])).exit_code == 0


@pytest.mark.skipif(os.getuid() != 0, reason="component docker is missing: only root can be somebody else here")
def test_another_user_of_this_machine_is_a_stranger(broker: Broker) -> None:
    broker.folder.chmod(0o755)
    command = ["/usr/bin/python3", "-c", textwrap.dedent(CALLER), str(broker.socket)]
    done = subprocess.run(command, user=65534, group=65534, capture_output=True, text=True, check=True)
    assert [status for status, _ in json.loads(done.stdout)] == [403] * 4


async def test_a_template_that_cannot_be_is_refused_before_anything_is_made(broker: Broker, template: Template) -> None:
    before = containers_of(broker)
    usual = load(templates_path(broker.folder))
    volume = "triptych-test-volume"
    build = f"FROM {template.image}\nVOLUME /data\n"
    subprocess.run(["docker", "build", "--quiet", "--tag", volume, "-"], input=build.encode(), check=True)
    try:
        broker.put_in_force(
            {
                **usual,
                "missing": template.model_copy(update={"image": "triptych-test-missing:1"}),
                "volume": template.model_copy(update={"image": volume}),
            }
        )
        for kind, complaint in (
            ("unknown", "there is no sandbox template 'unknown'"),
            ("missing", "triptych-test-missing:1 is not here"),
            ("volume", "declares volumes"),
        ):
            with pytest.raises(ConfigurationError, match=complaint):
                async with Sandbox.create(kind, folder=broker.folder):
                    pass
        assert containers_of(broker) == before
    finally:
        broker.put_in_force(usual)
        docker("rmi", volume)


async def test_without_a_broker_it_is_said_where_it_should_be(tmp_path: Any) -> None:
    with pytest.raises(SandboxUnavailable, match="is it running"):
        async with Sandbox.create(KIND, folder=tmp_path):
            pass
