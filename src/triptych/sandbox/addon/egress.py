"""What mitmproxy lets through for a box: the addon of `mitmdump` that `triptych.sandbox.proxy` starts.

It runs in mitmproxy's own environment and may import nothing but mitmproxy and the standard library. Its folder is no
package, so that nothing of ours imports it.

The broker speaks to it over stdin, a JSON object a line: from which port of its own it is about to connect, for which
box, and by which rules. A connection that was not announced is nobody's and is closed, so that no other process of
this machine gets at the credentials. When stdin ends the broker is gone, and this process with it.
"""

# mitmproxy is in an environment of its own, and its types with it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUntypedBaseClass=false

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from mitmproxy import connection, ctx, http
from mitmproxy.net.http import url
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

ANNOUNCED_SECONDS = 10.0
"""How long a connection waits for its announcement, which may be read after it."""
LINES_A_MINUTE = 20
"""So many refusals of one box are written down."""
MAX_MEMORY_MIB = 512
"""Of this process, which keeps some 75 in use. mitmproxy sets no limit to what it keeps of a request's head."""
MAX_REFUSED_BODY = 64 * 1024
"""A longer body is not waited for when its request is refused: the connection ends instead."""
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_VALUE = re.compile(r"[\t\x20-\x7e]+")
_INTERNET_6 = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given to the internet at large."""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
"""What Python 3.11 takes for global and is not, or leads to IPv4 in disguise; and Azure's own service."""
_PORTS = {"http": 80, "https": 443}


class Rule(NamedTuple):
    """One line of a template's egress; see `triptych.sandbox.policy.Egress`."""

    host: str
    port: int
    scheme: str
    header: str | None
    secret: str | None


class Caller(NamedTuple):
    """The box at the other end of a connection."""

    box: str
    rules: tuple[Rule, ...]
    granted: set[tuple[str, int, bool]]
    """Where requests of this connection were let through to: host, port, whether by TLS."""

    def rules_for(self, host: str, port: int, scheme: str) -> list[Rule]:
        """Return the rules that allow this."""
        wanted = (host.lower(), port, scheme)
        return [each for each in self.rules if (each.host, each.port, each.scheme) == wanted]


class Refused(Exception):
    """What a box asked for that it does not get.

    Attributes:
        status: Of the answer.
    """

    def __init__(self, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.status = status


def is_public(address: str) -> bool:
    """Whether an address is of the internet at large, and leads nowhere else in disguise."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found not in _INTERNET_6:
            return False
    return found.is_global and not found.is_multicast and not any(found in each for each in _NOT_PUBLIC)


class EgressAddon:
    """Allows what the rules of a box say, sets its credentials, and refuses everything else."""

    def __init__(self) -> None:
        self._announced: dict[int, Caller] = {}
        self._changed = asyncio.Condition()
        self._callers: dict[str, Caller] = {}
        self._said: dict[str, list[float]] = {}

    def load(self, loader: Any) -> None:
        """Take part in mitmproxy's options."""
        loader.add_option("egress_secrets", str, "", "The folder of the credentials.")

    def running(self) -> None:
        """Listen to the broker, and tell it where this listens."""
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def resolve_public(host: Any, port: Any, **more: Any) -> Any:
            # asyncio asks here for every name that it connects to, and never for an address: what is looked at is what
            # is connected to, and no second answer of a name server comes between.
            found = await resolve(host, port, **more)
            public = [each for each in found if is_public(str(each[4][0]))]
            if not public:
                raise OSError(f"{host} leads to no public address, and no rule names the address itself")
            return public

        loop.getaddrinfo = resolve_public  # type: ignore[method-assign]
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        threading.Thread(target=_watch_memory, daemon=True).start()
        (address,) = ctx.master.addons.get("proxyserver").listen_addrs()
        _say(f"ready {address[1]}")

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(self._announce(json.loads(line)), loop)
        # At once, whatever the loop is doing.
        os._exit(0)

    async def _announce(self, told: dict[str, Any]) -> None:
        rules = tuple(Rule(**each) for each in told["rules"])
        async with self._changed:
            if told["rules"]:
                self._announced[told["port"]] = Caller(told["box"], rules, set())
            else:
                self._announced.pop(told["port"], None)
            self._changed.notify_all()

    async def client_connected(self, client: connection.Client) -> None:
        """Find out whose connection this is; an announcement counts for one."""
        port = client.peername[1]
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + ANNOUNCED_SECONDS), self._changed:
                await self._changed.wait_for(lambda: port in self._announced)
                self._callers[client.id] = self._announced.pop(port)
        except TimeoutError:
            client.error = "nobody announced it"
            _say("a connection that was not the broker's was closed")

    def client_disconnected(self, client: connection.Client) -> None:
        """Forget it."""
        self._callers.pop(client.id, None)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Allow a tunnel to where a rule leads; what goes through it is looked at like everything else."""
        request = flow.request
        try:
            caller = self._caller(flow)
            if not caller.rules_for(request.host, request.port, "https"):
                raise Refused(f"no rule allows https to {_place(request.host, request.port)}")
        except Refused as refused:
            self._refuse(flow, refused)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Let a request pass with its credentials, or answer it here; nothing is connected to before."""
        try:
            self._let_pass(flow)
        except Refused as refused:
            self._refuse(flow, refused)

    def _let_pass(self, flow: http.HTTPFlow) -> None:
        caller, request = self._caller(flow), flow.request
        host, port, scheme = request.host, request.port, request.scheme
        rules = caller.rules_for(host, port, scheme)
        if not rules:
            raise Refused(f"no rule allows {scheme} to {_place(host, port)}")
        sni = flow.client_conn.sni
        if sni is not None and sni.lower() != host.lower():
            raise Refused(f"a connection to {host} is not for another name")
        if _authority(request, scheme) != (host.lower(), port):
            raise Refused(f"a request to {host} is not for another Host")
        if request.method == "TRACE":
            raise Refused("TRACE would send the credentials back")
        if "upgrade" in request.headers:
            raise Refused("only HTTP passes, and no protocol beside it")
        if any(_CONTROL.search(name + value) for name, value in request.headers.fields):
            # A server may take it for the end of a header, and what follows for another one.
            raise Refused("a header holds a control character")
        credentials = {rule.header: _credential(rule) for rule in rules if rule.header and rule.secret}
        # Whatever the box sent under these names goes; a server may take one written with `_` for the same.
        ours = {name.lower() for name in (*credentials, "Proxy-Authorization", "Proxy-Connection")}
        for name in list(request.headers.keys()):
            if name.lower().replace("_", "-") in ours:
                request.headers.pop(name, None)
        request.headers.update(credentials)
        caller.granted.add((host, port, scheme == "https"))
        # Nothing is kept here, however long it is.
        request.stream = True

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Pass an answer on as it comes."""
        flow.response.stream = True

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Connect to nothing but what a request was let through to: whatever mitmproxy takes a connection for."""
        caller, server = self._callers.get(data.client.id), data.server
        if caller is None or server.address is None or (*server.address[:2], bool(server.tls)) not in caller.granted:
            server.error = "no rule allows it"
        elif server.tls:
            # What the certificate is held against, whatever the box named.
            server.sni = server.address[0]

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        """Write down what could not be reached."""
        caller = self._callers.get(data.client.id)
        if caller is not None and data.server.address is not None:
            self._write_down(caller.box, f"{_place(*data.server.address[:2])} is not reached: {data.server.error}")

    def tls_failed_server(self, data: Any) -> None:
        """Write down whose certificate does not hold."""
        caller = self._callers.get(data.context.client.id)
        if caller is not None:
            self._write_down(caller.box, f"{_place(*data.conn.address[:2])} is not trusted: {data.conn.error}")

    def _caller(self, flow: http.HTTPFlow) -> Caller:
        caller = self._callers.get(flow.client_conn.id)
        if caller is None:
            raise Refused("this connection is no box's")
        return caller

    def _refuse(self, flow: http.HTTPFlow, refused: Refused) -> None:
        caller = self._callers.get(flow.client_conn.id)
        self._write_down(caller.box if caller else "?", f"refused: {refused}")
        headers = flow.request.headers
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_REFUSED_BODY:
            flow.kill()
            return
        text = f"Triptych's egress: {refused}\n"
        flow.response = http.Response.make(refused.status, text, {"content-type": "text/plain; charset=utf-8"})

    def _write_down(self, box: str, what: str) -> None:
        now = time.monotonic()
        recent = self._said[box] = [each for each in self._said.get(box, ()) if now - each < 60] + [now]
        if len(recent) <= LINES_A_MINUTE:
            _say(f"box {box}: {what}")
        elif len(recent) == LINES_A_MINUTE + 1:
            _say(f"box {box}: no more of it is written down for a minute")
        del recent[: -LINES_A_MINUTE - 2]


def _authority(request: http.Request, scheme: str) -> tuple[str, int] | None:
    """Return which host and port a request says that it is for; None where it does not say one."""
    named = request.headers.get_all("host")
    if len(named) != 1:
        return None
    try:
        host, port = url.parse_authority(named[0], check=True)
    except ValueError:
        return None
    return host.lower(), port or _PORTS[scheme]


def _credential(rule: Rule) -> str:
    try:
        value = Path(ctx.options.egress_secrets, str(rule.secret)).read_text().strip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise Refused(f"the credential {rule.secret} for {rule.host} cannot be read: {why}", 502) from None
    if not _VALUE.fullmatch(value):
        raise Refused(f"the credential {rule.secret} for {rule.host} is not one line of plain text", 502)
    return value


def _watch_memory() -> None:
    most = MAX_MEMORY_MIB * 1024 * 1024 // resource.getpagesize()
    # What this does not see in time the system refuses.
    hard = 4 * MAX_MEMORY_MIB * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    while int(Path("/proc/self/statm").read_text().split()[1]) < most:
        time.sleep(0.2)
    _say(f"the proxy ends: it has filled {MAX_MEMORY_MIB} MiB, and is started again for the next request")
    os._exit(1)


def _place(host: str, port: int) -> str:
    # A box says it: it may hold anything.
    return f"{host[:253]!a}, port {port}"


def _say(line: str) -> None:
    print(line, flush=True)


addons = [EgressAddon()]
