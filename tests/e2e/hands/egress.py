"""A broker whose boxes have egress, what they may reach, and programs that try more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.components import require
from tests.components.sandbox import CANARY, KIND, Broker, running_broker
from tests.e2e.hands.boxes import report
from tests.e2e.hands.upstreams import Authority, Upstream
from triptych.sandbox.box import Sandbox
from triptych.sandbox.policy import Egress, Template

SECRET = f"Bearer {CANARY}"
"""Begins like what `test_attacks.SEARCH` looks for."""
CLOSED, NAMED, MISSING, UNTRUSTED, PLAIN, DNS = "closed", "named", "missing", "untrusted", "plain", "dns"
DNS_PORT = 5353
"""One at which mitmproxy takes whatever it does not know for DNS."""


class World(NamedTuple):
    """A broker, and what is outside of its boxes."""

    broker: Broker
    authority: Authority
    allowed: Upstream
    """What `KIND` may reach, with `SECRET`."""
    plain: Upstream
    """What `PLAIN` may reach, without TLS."""
    untrusted: Upstream
    """Its certificate is of an authority that nobody knows."""

    def url(self, path: str = "/") -> str:
        return f"https://127.0.0.1:{self.allowed.port}{path}"


@pytest.fixture(scope="module")
def world(docker_alone: None, template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require("egress")
    authority, nobody = Authority(tmp_path_factory.mktemp("ca")), Authority(tmp_path_factory.mktemp("nobody"))
    allowed = Upstream("127.0.0.1", authority.context("IP:127.0.0.1"))
    untrusted = Upstream("127.0.0.1", nobody.context("IP:127.0.0.1"))
    plain = Upstream("127.0.0.1")

    def kind(*rules: Egress) -> Template:
        return template.model_copy(update={"egress": rules})

    def rule(port: int, host: str = "127.0.0.1", secret: str = "key") -> Egress:
        return Egress(host=host, port=port, header="Authorization", secret=secret)

    templates = {
        KIND: kind(rule(allowed.port)),
        CLOSED: kind(),
        NAMED: kind(rule(allowed.port, "localhost")),
        MISSING: kind(rule(allowed.port, secret="missing")),
        UNTRUSTED: kind(rule(untrusted.port)),
        DNS: kind(rule(DNS_PORT)),
        PLAIN: kind(Egress(host="127.0.0.1", port=plain.port, scheme="http", header="X-Api-Key", secret="key")),
    }
    with running_broker(templates, env={"SSL_CERT_FILE": str(authority.certificate)}) as broker:
        put_secret(broker)
        yield World(broker, authority, allowed, plain, untrusted)
    for each in (allowed, untrusted, plain):
        each.close()


def put_secret(broker: Broker, name: str = "key", value: str = SECRET) -> None:
    folder = broker.folder / "secrets"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value + "\n")


def proxy_of(broker: Broker) -> psutil.Process | None:
    """Return the process of a broker's proxy."""
    assert broker.process is not None
    found = psutil.Process(broker.process.pid).children()
    assert len(found) <= 1
    return found[0] if found else None


def port_of(proxy: psutil.Process) -> int:
    (port,) = {each.laddr.port for each in proxy.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    return port


def doors_of(broker: Broker) -> list[Path]:
    return sorted(path for path in (broker.folder / "egress").glob("*") if path.name != "ca")


GET = """
    import json, sys, urllib.request
    headers = json.loads(sys.argv[2])
    try:
        with urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers), timeout=30) as answer:
            print(json.dumps([answer.status, answer.read().decode()]))
    except urllib.error.HTTPError as error:
        print(json.dumps([error.code, error.read().decode()]))
    except OSError as error:
        print(json.dumps([0, str(error)]))
"""
"""Fetches as any program does that knows of proxies, and says status and text."""

RAW = """
    import base64, json, socket, ssl, sys
    results = []
    for attempt in json.loads(sys.argv[1]):
        answer = b""
        try:
            there = socket.create_connection(("127.0.0.1", 3128), 10)
            there.settimeout(10)
            for step in attempt:
                if "tls" in step:
                    context = ssl.create_default_context()
                    context.check_hostname = False
                    there = context.wrap_socket(there, server_hostname=step["tls"])
                    continue
                there.sendall(base64.b64decode(step["send"]))
                if step.get("shut"):
                    there.shutdown(socket.SHUT_WR)
                answer = b""
                while b"\\r\\n\\r\\n" not in answer:
                    data = there.recv(65536)
                    if not data:
                        break
                    answer += data
            while step.get("all") and (data := there.recv(65536)):
                answer += data
            results.append(answer.decode(errors="replace"))
            there.close()
        except OSError as error:
            results.append(f"{type(error).__name__}: {error}")
    print(json.dumps(results))
"""
"""Plays attempts at the proxy, each a row of steps, and says the last answer of each."""


async def get(box: Sandbox, url: str, **headers: str) -> tuple[int, str]:
    status, text = await report(box, GET, url, json.dumps(headers))
    return status, text
