"""The brain's end: asks the broker, and keeps its boxes alive while its process lives."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import httpx

from triptych.errors import ConfigurationError, SandboxUnavailable

_HOST = "http://broker"
_OWNER = "X-Triptych-Owner"
_CONNECT_SECONDS = 10.0
_PUT_OFF_A_LEASE = 4
"""So often a lease is renewed before it would be over: one lost request does not end a box."""


class BoxLost(Exception):
    """The box is gone, for good."""


EndedBy: TypeAlias = Literal["itself", "timeout", "idle", "output", "cancel"]


class Ended(NamedTuple):
    """How a command ended."""

    exit_code: int
    ended_by: EndedBy
    stdout: bytes = b""
    stderr: bytes = b""


class Marked(NamedTuple):
    """What a box says of its files."""

    generation: int
    tree: str
    """The hash of all of them."""
    entries: int


class Client:
    """Asks a broker.

    Args:
        path: The broker's socket.
        owner: Whose boxes they are, for a process of the Docker host itself; a brain's container is its flow run,
            whatever it says here.

    Every method raises `SandboxUnavailable` where the broker does not answer or has no room, `ConfigurationError` where
    what was asked cannot be right, `BoxLost` where the box is gone, and the system's own `OSError` for a file.
    """

    def __init__(self, path: Path, owner: str | None = None) -> None:
        self.path = path
        self._headers = {_OWNER: owner} if owner else {}
        self._http = self._open()

    def _open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=_HOST,
            headers=self._headers,
            transport=httpx.AsyncHTTPTransport(uds=str(self.path), limits=httpx.Limits(max_connections=None)),
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of the connections; the boxes live on."""
        await self._http.aclose()

    async def create(self, template: str) -> str:
        """Make a box and keep it alive; return its id."""
        made = await self._ask("POST", "/boxes", json={"template": template})
        self.keep_alive(made["id"], made["lease_seconds"])
        return made["id"]

    def keep_alive(self, box: str, lease_seconds: float) -> None:
        """Renew a box's lease from now on, until it is destroyed or this process ends."""
        _KEEPER.keep(box, self.path, self._headers, lease_seconds)

    async def renew(self, box: str) -> float:
        """Renew a box's lease once; return the lease's length in seconds."""
        return (await self._ask("POST", f"/boxes/{box}/renew"))["lease_seconds"]

    async def destroy(self, box: str) -> None:
        """End a box; one that is gone already is fine."""
        _KEEPER.forget(box)
        with contextlib.suppress(BoxLost):
            await self._ask("DELETE", f"/boxes/{box}")

    async def boxes(self, *, memory: bool = False) -> list[dict[str, Any]]:
        """Return the boxes there are, as far as the caller may see them.

        Each has `id`, `owner`, `template`, `container`, `age_seconds`, `lease_seconds` (what is left of it) and, where
        it is asked for, `memory_bytes`, which takes a second or two.
        """
        return await self._ask("GET", "/boxes", params={"memory": ""} if memory else None)

    async def reap(self) -> int:
        """End now what is over, whosever it is; return how many boxes that were."""
        return (await self._ask("POST", "/reap"))["ended"]

    async def brains(self) -> list[dict[str, Any]]:
        """Return the containers of brains: `container`, `flow_run_id`, and `made`, a Unix time."""
        return await self._ask("GET", "/brains")

    async def end_brain(self, container: str) -> None:
        """End a brain's container; one that is gone already is fine."""
        await self._ask("DELETE", f"/brains/{container}")

    async def run(self, box: str, argv: list[str], env: dict[str, str], timeout_seconds: float | None) -> Ended:
        """Run a command to its end. A caller that is cancelled ends it and all that it started."""
        asked = {"argv": argv, "env": env, "timeout_seconds": timeout_seconds}
        ended = await self._ask("POST", f"/boxes/{box}/run", json=asked)
        output = (base64.b64decode(ended[stream]) for stream in ("stdout", "stderr"))
        return Ended(ended["exit_code"], ended["ended_by"], *output)

    async def stream(
        self,
        box: str,
        argv: list[str],
        env: dict[str, str],
        *,
        timeout_seconds: float | None,
        idle_seconds: float | None,
        hear: Callable[[int, bytes], None],
    ) -> Ended:
        """Run a command as `run` does, and hand its output on as it comes; return how it ended.

        Args:
            box: The box's id.
            argv: The command.
            env: Beside the template's.
            timeout_seconds: It is ended after this.
            idle_seconds: It is ended when it has printed nothing for this long.
            hear: Called with 1 (stdout) or 2 (stderr) and what was printed. An error of its own ends the command.

        Raises:
            SandboxUnavailable: also where the box has no room to start it.
        """
        asked = {"argv": argv, "env": env, "timeout_seconds": timeout_seconds, "idle_seconds": idle_seconds}
        try:
            async with self._http.stream("POST", f"/boxes/{box}/stream", json=asked) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise _error(answer)
                async for line in answer.aiter_lines():
                    piece = json.loads(line)
                    if "data" in piece:
                        hear(piece["stream"], base64.b64decode(piece["data"]))
                    elif "error" in piece:
                        lost = piece["error"] == "gone"
                        raise (BoxLost if lost else SandboxUnavailable)(piece["message"])
                    else:
                        return Ended(piece["exit_code"], piece["ended_by"])
        except httpx.ConnectError as error:
            raise self._unavailable(error) from error
        except httpx.TransportError as error:
            raise BoxLost("the box went away while a command ran in it") from error
        raise BoxLost("the box went away while a command ran in it")

    async def file(self, box: str, operation: str, path: str) -> dict[str, Any]:
        """Do something about a path: `stat`, `list`, `make_dir`, `remove`, `exists` or `realpath`."""
        return await self._ask("POST", f"/boxes/{box}/files", json={"operation": operation, "path": path})

    async def get(self, box: str, what: Literal["content", "tree"], path: str) -> AsyncGenerator[bytes]:
        """Give a file's bytes, or a folder as a tar archive, in pieces."""
        try:
            async with aclosing(self._stream(f"/boxes/{box}/{what}", {"path": path})) as pieces:
                async for data in pieces:
                    yield data
        except httpx.ConnectError as error:
            raise self._unavailable(error) from error
        except httpx.TransportError as error:
            raise BoxLost(f"the box went away while {path} was read") from error

    async def put(
        self, box: str, what: Literal["content", "tree"], path: str, content: bytes | AsyncIterable[bytes]
    ) -> None:
        """Write a file, or lay a tar archive out in a folder."""
        await self._ask("PUT", f"/boxes/{box}/{what}", params={"path": path}, content=content)

    async def mark(self, box: str, policy: dict[str, Any]) -> Marked:
        """Have a box tell its changes from what its working directory is now; see `hands.snapshots.Policy`."""
        return Marked(**await self._ask("POST", f"/boxes/{box}/mark", json=policy))

    async def changes(self, box: str, since: int) -> AsyncGenerator[bytes]:
        """Give what has changed since the mark, in pieces: new contents, and a last line that says what they are.

        `SandboxUnavailable` is also an answer that broke off: the same may be asked again.
        """
        try:
            async with aclosing(self._stream(f"/boxes/{box}/changes", {"since": str(since)})) as pieces:
                async for data in pieces:
                    yield data
        except httpx.TransportError as error:
            raise self._unavailable(error) from error

    async def lay(self, box: str, content: bytes) -> Marked:
        """Bring the files of a box that was just marked to what `changes` has told of another one."""
        return Marked(**await self._ask("PUT", f"/boxes/{box}/changes", content=content))

    async def _stream(self, path: str, params: dict[str, str]) -> AsyncGenerator[bytes]:
        async with self._http.stream("GET", path, params=params) as answer:
            if answer.is_error:
                await answer.aread()
                raise _error(answer)
            async for data in answer.aiter_raw():
                yield data

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise self._unavailable(error) from error
        if answer.is_error:
            raise _error(answer)
        return answer.json()

    def _unavailable(self, error: Exception) -> SandboxUnavailable:
        why = str(error) or type(error).__name__
        return SandboxUnavailable(f"the sandbox's broker at {self.path} does not answer ({why}): is it running?")


def _error(answer: httpx.Response) -> Exception:
    try:
        told = answer.json()
        kind, message = told["error"], told["message"]
    except (ValueError, LookupError, TypeError):
        return SandboxUnavailable(f"the sandbox's broker answered {answer.status_code}: {answer.text[:500]}")
    if kind == "gone":
        return BoxLost(message)
    if kind == "hands":
        # Python picks the class by the number: FileNotFoundError, PermissionError, ...
        return OSError(told["errno"], os.strerror(told["errno"]), message)
    if kind in ("configuration", "request", "stranger"):
        return ConfigurationError(message)
    return SandboxUnavailable(message)


class _Kept(NamedTuple):
    socket: Path
    headers: dict[str, str]
    seconds: float


class _Keeper:
    """Renews leases from a thread of its own: an event loop that is busy, or over, is no sign of death."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(self, box: str, path: Path, headers: dict[str, str], lease_seconds: float) -> None:
        with self._changed:
            self._kept[box] = _Kept(path, headers, lease_seconds / _PUT_OFF_A_LEASE)
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew, daemon=True, name="sandbox leases")
                self._thread.start()
            self._changed.notify_all()

    def forget(self, box: str) -> None:
        with self._changed:
            self._kept.pop(box, None)

    def _renew(self) -> None:
        while True:
            with self._changed:
                pause = min((each.seconds for each in self._kept.values()), default=None)
                self._changed.wait(pause)
                kept = dict(self._kept)
            for box, kept_box in kept.items():
                if not _is_renewed(box, kept_box):
                    self.forget(box)


_KEEPER = _Keeper()


def _is_renewed(box: str, kept: _Kept) -> bool:
    """Renew a lease; False where the box is gone. A broker that does not answer may do so the next time."""
    connection = _UnixConnection(kept.socket, kept.seconds)
    try:
        connection.request("POST", f"/boxes/{box}/renew", headers=kept.headers)
        return connection.getresponse().status != HTTPStatus.GONE
    except (OSError, HTTPException):
        return True
    finally:
        connection.close()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("broker", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        # Held before it is connected, so that `close` closes it also where it cannot be.
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
