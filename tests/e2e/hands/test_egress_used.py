"""What egress is for: a clone from inside, by a name, in a network that the test made for itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.components import require
from tests.components.sandbox import KIND, Broker, running_broker
from tests.e2e.hands.boxes import box
from tests.e2e.hands.egress import CLOSED, SECRET, World, get, put_secret
from tests.e2e.hands.upstreams import Authority
from triptych.fixes import CommandAgent
from triptych.sandbox.commands import run_command_agent
from triptych.sandbox.policy import Egress, Template

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]
PUBLIC, OTHER = "93.184.215.14", "93.184.215.15"
"""Addresses of the internet, which in the test's own network lead to its own loopback."""
GIT_NAME = "git.example.com"


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Una", "-c", "user.email=una@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository as a server of plain files gives it out."""
    work, served = tmp_path / "work", tmp_path / "served"
    work.mkdir()
    served.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    (work / "code.py").write_text("print('cloned')\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "--message=one")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(served / "repo.git"))
    git(served / "repo.git", "update-server-info")
    return served


CLONE = "git clone --quiet https://{} repo && python3 repo/code.py"


async def test_git_clones_from_inside_and_only_with_egress(world: World, repository: Path) -> None:
    def serve(asked: BaseHTTPRequestHandler, body: bytes) -> None:
        path = repository / asked.path.partition("?")[0].lstrip("/")
        is_theirs = asked.headers["Authorization"] == SECRET and path.is_file()
        data = path.read_bytes() if is_theirs else b""
        asked.send_response(200 if is_theirs else 404)
        asked.send_header("Content-Length", str(len(data)))
        asked.end_headers()
        asked.wfile.write(data)

    clone = CLONE.format(f"127.0.0.1:{world.allowed.port}/repo.git")
    world.allowed.answer = serve
    try:
        async with box(world.broker) as made:
            done = await made.run(clone, shell=True, timeout_seconds=60)
            assert (done.exit_code, done.stdout) == (0, "cloned\n"), done.stderr
        async with box(world.broker, kind=CLOSED) as made:
            done = await made.run(clone, shell=True, timeout_seconds=60)
            assert done.exit_code == 128
            assert "Failed to connect" in done.stderr or "Couldn't connect" in done.stderr
    finally:
        world.allowed.answer = None


# Runs as process of a network namespace that has nothing but loopback, which holds two addresses of the internet; and
# of a mount namespace in which /etc/hosts says where names lead. So no packet of the test leaves it.
IN_A_NETWORK_OF_ITS_OWN = """
    import os, subprocess, sys
    hosts, addresses, command = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in addresses:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    os.execvp(command[0], command)
"""
SERVER = """
    import sys, ssl, threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    certificate, key, folder = sys.argv[1:4]
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)
        def do_GET(self):
            self.log_message("asked of %s for %s with %s", self.server.server_address[0], self.headers["Host"],
                             self.headers["Authorization"])
            super().do_GET()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    for address in sys.argv[4:]:
        server = ThreadingHTTPServer((address, 443), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever).start()
"""


@pytest.fixture
async def named(
    template: Template, docker_alone: None, repository: Path, tmp_path: Path
) -> AsyncIterator[tuple[Broker, Path, Path]]:
    """A broker and servers in a network of their own, the file that says where names lead, and what servers saw."""
    require("egress")
    if os.getuid() != 0:
        pytest.skip("component egress is missing: only root can make a network of its own")
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    authority.context(f"DNS:{GIT_NAME}")
    hosts, seen = tmp_path / "hosts", tmp_path / "seen"
    hosts.write_text(f"127.0.0.1 localhost\n{PUBLIC} {GIT_NAME}\n{OTHER} other.example.com\n")
    rules = tuple(Egress(host=name, header="Authorization", secret="key") for name in (GIT_NAME, "other.example.com"))
    more = textwrap.dedent(IN_A_NETWORK_OF_ITS_OWN)
    prefix = ["unshare", "--net", "--mount", sys.executable, "-c", more, str(hosts), f"{PUBLIC},{OTHER}"]
    templates = {KIND: template.model_copy(update={"egress": rules})}
    with running_broker(templates, env={"SSL_CERT_FILE": str(authority.certificate)}, prefix=prefix) as broker:
        put_secret(broker)
        assert broker.process is not None
        stem = authority.certificate.with_name(f"DNS-{GIT_NAME}")
        files = [f"{stem}.pem", f"{stem}.key", str(repository)]
        command = ["nsenter", "--net", f"--target={broker.process.pid}", sys.executable, "-c", textwrap.dedent(SERVER)]
        with seen.open("wb") as log:
            served = await asyncio.create_subprocess_exec(*command, *files, PUBLIC, OTHER, "127.0.0.1", stderr=log)
        try:
            yield broker, hosts, seen
        finally:
            served.kill()
            await served.wait()


ASKS_ITS_MODEL = """
import sys, urllib.request
for url in sys.argv[2:]:
    request = urllib.request.Request(url, headers={"Authorization": "Bearer none"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            print(answer.read().decode(), flush=True)
    except OSError as error:
        print(error, flush=True)
"""


async def test_a_command_agent_reaches_its_model_and_nothing_else(world: World) -> None:
    model, elsewhere = world.url("/v1/messages"), f"https://127.0.0.1:{world.untrusted.port}/"
    command = CommandAgent(argv=("python3", "-c", ASKS_ITS_MODEL, "{instruction}", model, elsewhere), idle_seconds=60)
    lines: list[str] = []
    async with box(world.broker) as made:
        ended = await run_command_agent(made.backend, command, "Mend it.", environment={}, on_line=lines.append)
    assert (ended.exit_code, len(lines)) == (0, 2)
    assert lines[0] == "reached"
    assert "403" in lines[1]
    assert world.allowed.seen[-1].path == "/v1/messages"
    assert world.allowed.seen[-1].all("authorization") == [SECRET]
    assert world.untrusted.seen == []


async def test_a_name_is_what_its_certificate_says_and_leads_where_it_may(named: tuple[Broker, Path, Path]) -> None:
    broker, hosts, seen = named
    async with box(broker) as made:
        async with asyncio.timeout(60):
            while (answer := await get(made, f"https://{GIT_NAME}/"))[0] != 200:
                assert answer[0] == 502
                await asyncio.sleep(0.2)
        done = await made.run(CLONE.format(f"{GIT_NAME}/repo.git"), shell=True, timeout_seconds=60)
        assert (done.exit_code, done.stdout) == (0, "cloned\n"), done.stderr
        assert f"asked of {PUBLIC} for {GIT_NAME} with {SECRET}" in seen.read_text()
        # The server there has a certificate of another name.
        status, text = await get(made, "https://other.example.com/")
        assert status == 502
        assert "verify failed" in text
        assert f"asked of {OTHER}" not in seen.read_text()
        # The name server changes its mind, while the box goes on asking for the same name.
        for address in ("127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", "0.0.0.0", "::1"):
            hosts.write_text(f"{address} {GIT_NAME}\n")
            status, text = await get(made, f"https://{GIT_NAME}/")
            assert (status, "leads to no public address" in text) == (502, True), (address, text)
        hosts.write_text(f"127.0.0.1 {GIT_NAME}\n{PUBLIC} {GIT_NAME}\n")
        assert (await get(made, f"https://{GIT_NAME}/"))[0] == 200
        assert "asked of 127.0.0.1" not in seen.read_text()
