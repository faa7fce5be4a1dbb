"""The broker: the only thing that talks to Docker. A small HTTP service on a unix socket of the Docker host.

```
POST   /boxes                     {"template": ...}              -> {"id": ...}
GET    /boxes                                                    -> [{"id", "owner", "template", ...}] [?memory]
POST   /boxes/ID/renew                                           the owner lives
POST   /boxes/ID/run              {"argv", "env", "timeout_seconds", "idle_seconds"}
POST   /boxes/ID/stream           the same, its output as it comes: a JSON object a line
POST   /boxes/ID/files            {"operation", "path"}
GET    /boxes/ID/content?path=    PUT                            a file's bytes
GET    /boxes/ID/tree?path=       PUT                            a folder as a tar archive
POST   /boxes/ID/mark             {"exclude", "max_file_bytes", ...} -> {"generation", "tree", "entries"}
GET    /boxes/ID/changes?since=   PUT                            what differs from the mark; see `hands.snapshots`
DELETE /boxes/ID
POST   /reap                                                     for this machine's own processes only,
GET    /brains                                                   as these two: [{"container", "flow_run_id", ...}]
DELETE /brains/CONTAINER
```
"""

from __future__ import annotations

import asyncio
import base64
import errno
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Literal, NamedTuple, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel, ValidationError

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox import asked
from triptych.sandbox.boxes import Box, Boxes
from triptych.sandbox.channel import BoxGone, HandsError
from triptych.sandbox.engine import Engine
from triptych.sandbox.hands.frames import CHUNK, Header
from triptych.sandbox.labels import BRAIN, FLOW_RUN
from triptych.sandbox.peers import Caller, Callers, Peer, Stranger

OWNER = "X-Triptych-Owner"
MANIFEST_MIB = 64
"""Of what a box says of its files, beside their contents."""
_MIB = 1024 * 1024
_MAX_JSON_BYTES = 2 * _MIB
_PEER = web.RequestKey("peer", Peer)

AskedT = TypeVar("AskedT", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Identify = Callable[[Caller, str | None, Engine], Awaitable[Peer]]


class Output(NamedTuple):
    """What a command has printed."""

    stream: Literal[1, 2]
    data: bytes


class Connection(web.RequestHandler):
    """A connection that knows who made it."""

    __slots__ = ("_callers", "caller")

    def __init__(self, server: web.Server, callers: Callers) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), access_log=cast(Any, None))
        self._callers = callers
        self.caller: Caller | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out at once who it is: later it may be somebody else."""
        super().connection_made(transport)
        try:
            self.caller = self._callers.enter(transport.get_extra_info("socket"))
        except Stranger:
            # Each request is told.
            self.caller = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget who it was."""
        if self.caller is not None:
            self._callers.leave(self.caller)
        super().connection_lost(exc)


class Broker:
    """Serves boxes to those who may have them.

    Args:
        engine: Docker.
        boxes: The boxes there are.
        identify: Tells who a caller is: `peers.as_host` or `peers.as_brain`, each with a socket of its own.
    """

    def __init__(self, engine: Engine, boxes: Boxes, identify: Identify) -> None:
        self._engine = engine
        self._identify = identify
        self._boxes = boxes

    def app(self) -> web.Application:
        """Return the service."""
        app = web.Application(middlewares=[self._answer_for], client_max_size=_MAX_JSON_BYTES)
        app.add_routes(
            [
                web.get("/boxes", self._list),
                web.post("/boxes", self._create),
                web.delete("/boxes/{box}", self._end),
                web.post("/boxes/{box}/renew", self._renew),
                web.post("/boxes/{box}/run", self._run),
                web.post("/boxes/{box}/stream", self._stream),
                web.post("/boxes/{box}/files", self._file),
                web.get("/boxes/{box}/content", self._read),
                web.put("/boxes/{box}/content", self._write),
                web.get("/boxes/{box}/tree", self._pack),
                web.put("/boxes/{box}/tree", self._unpack),
                web.post("/boxes/{box}/mark", self._mark),
                web.get("/boxes/{box}/changes", self._changes),
                web.put("/boxes/{box}/changes", self._lay),
                web.post("/reap", self._reap),
                web.get("/brains", self._list_brains),
                web.delete("/brains/{container}", self._end_brain),
            ]
        )
        return app

    @web.middleware
    async def _answer_for(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks, and say in one way what went wrong."""
        try:
            caller = cast(Connection, request.protocol).caller
            if caller is None:
                raise Stranger("the caller was gone already when it had connected, or has too many connections")
            request[_PEER] = await self._identify(caller, request.headers.get(OWNER), self._engine)
            return await handler(request)
        except Stranger as error:
            return _refusal(403, "stranger", str(error))
        except BoxGone as error:
            return _refusal(410, "gone", str(error))
        except HandsError as error:
            return _refusal(422, "hands", str(error), errno=error.errno)
        except ConfigurationError as error:
            return _refusal(400, "configuration", str(error))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            return _refusal(400, "request", wrong)
        except SandboxUnavailable as error:
            return _refusal(503, "unavailable", str(error))

    async def _list(self, request: web.Request) -> web.Response:
        boxes = self._boxes.of(_owner(request))
        rows = [each.summary() for each in boxes]
        if "memory" in request.query:
            # Docker takes a second or two to measure it.
            used = await asyncio.gather(*(self._engine.memory_bytes(each.container) for each in boxes))
            rows = [{**row, "memory_bytes": each} for row, each in zip(rows, used, strict=True)]
        return web.json_response(rows)

    async def _create(self, request: web.Request) -> web.Response:
        asked_for = await _body(request, asked.Create)
        box = await self._boxes.create(asked_for.template, request[_PEER].owner)
        return web.json_response({"id": box.id, "lease_seconds": box.template.lease_seconds}, status=201)

    async def _end(self, request: web.Request) -> web.Response:
        await self._boxes.end(self._box(request))
        return web.json_response({})

    async def _renew(self, request: web.Request) -> web.Response:
        box = self._box(request)
        await box.renew()
        return web.json_response({"lease_seconds": box.template.lease_seconds})

    async def _reap(self, request: web.Request) -> web.Response:
        _require_host(request)
        return web.json_response({"ended": await self._boxes.reap()})

    async def _list_brains(self, request: web.Request) -> web.Response:
        _require_host(request)
        rows = [
            {"container": each.id, "flow_run_id": each.labels[FLOW_RUN], "made": each.made}
            for each in await self._engine.ours(BRAIN)
            if FLOW_RUN in each.labels
        ]
        return web.json_response(rows)

    async def _end_brain(self, request: web.Request) -> web.Response:
        _require_host(request)
        asked_for = request.match_info["container"]
        for container in await self._engine.ours(BRAIN):
            if container.id == asked_for:
                await self._engine.remove(container.id)
        return web.json_response({})

    async def _run(self, request: web.Request) -> web.Response:
        printed: dict[int, list[bytes]] = {1: [], 2: []}
        ended: dict[str, Any] = {}
        async with aclosing(await self._command(request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Output):
                    printed[piece.stream].append(piece.data)
                else:
                    ended = piece
        stdout, stderr = (base64.b64encode(b"".join(pieces)).decode() for pieces in printed.values())
        return web.json_response({**ended, "stdout": stdout, "stderr": stderr})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.enable_chunked_encoding()
        async with aclosing(await self._command(request)) as pieces:
            # At once: a command that prints nothing yet is under way.
            await response.prepare(request)
            try:
                async for piece in pieces:
                    await response.write(_line(piece))
            except HandsError as error:
                await response.write(_line({"error": "hands", "message": str(error)}))
            except BoxGone as error:
                await response.write(_line({"error": "gone", "message": str(error)}))
            await response.write_eof()
        return response

    async def _command(self, request: web.Request) -> AsyncGenerator[Output | dict[str, Any]]:
        """Return what gives a command's output as it comes, and at last how it ended; left early, it ends that."""
        box, command = self._box(request), await _body(request, asked.Run)
        if command.size_bytes() > asked.MAX_TEXT_BYTES:
            raise ConfigurationError(f"a command and its environment are at most {asked.MAX_TEXT_BYTES} bytes")
        header = {
            "kind": "run",
            "argv": command.argv,
            "env": command.env,
            "timeout": command.timeout_seconds,
            "idle": command.idle_seconds,
            "max_output": box.template.output_mib * _MIB,
        }
        return _followed(box, header)

    async def _file(self, request: web.Request) -> web.Response:
        box, file = self._box(request), await _body(request, asked.File)
        listed = b""
        answer: dict[str, Any] = {}
        async with aclosing(box.channel.ask({"kind": file.operation, "path": file.path})) as frames:
            async for frame in frames:
                listed += frame.payload
                if len(listed) > box.template.output_mib * _MIB:
                    raise HandsError(errno.EFBIG, f"{file.path} holds more than can be listed")
                answer = frame.header
        if file.operation == "list":
            answer = {"entries": [each for line in listed.splitlines() for each in json.loads(line)]}
        return web.json_response({key: value for key, value in answer.items() if key not in ("id", "kind")})

    async def _read(self, request: web.Request) -> web.StreamResponse:
        return await self._out(request, {"kind": "read", "path": _place(request)})

    async def _pack(self, request: web.Request) -> web.StreamResponse:
        return await self._out(request, {"kind": "pack", "path": _place(request)})

    async def _write(self, request: web.Request) -> web.Response:
        await self._in(request, {"kind": "write", "path": _place(request)})
        return web.json_response({})

    async def _unpack(self, request: web.Request) -> web.Response:
        await self._in(request, {"kind": "unpack", "path": _place(request)})
        return web.json_response({})

    async def _mark(self, request: web.Request) -> web.Response:
        box, mark = self._box(request), await _body(request, asked.Mark)
        marked: dict[str, Any] = {}
        async with aclosing(box.channel.ask({"kind": "mark", "policy": mark.model_dump(mode="json")})) as frames:
            async for frame in frames:
                marked = frame.header
        return _marked(marked)

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        box, told = self._box(request), asked.Since.model_validate(dict(request.query))
        # No more than the files that a box can hold, and what there is to say of them.
        most = (box.template.disk_mib + MANIFEST_MIB) * _MIB
        return await self._out(request, {"kind": "changes", "since": told.since}, most)

    async def _lay(self, request: web.Request) -> web.Response:
        return _marked(await self._in(request, {"kind": "lay"}))

    async def _out(self, request: web.Request, header: Header, most: float = float("inf")) -> web.StreamResponse:
        box = self._box(request)
        async with aclosing(box.channel.ask(header)) as answer:
            # What is wrong from the beginning has a status of its own.
            first = await anext(answer)
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            try:
                await response.write(first.payload)
                async for frame in answer:
                    most -= len(frame.payload)
                    if most < 0:
                        raise HandsError(errno.EFBIG, "a box cannot have so much to tell")
                    await response.write(frame.payload)
            except (BoxGone, HandsError):
                # Half a file never looks like a whole one.
                if request.transport is not None:
                    request.transport.abort()
                return response
            await response.write_eof()
        return response

    async def _in(self, request: web.Request, header: Header) -> Header:
        box = self._box(request)
        content: AsyncIterator[bytes] = request.content.iter_chunked(CHUNK)
        done: Header = {}
        try:
            async with aclosing(box.channel.ask(header, content)) as answer:
                async for frame in answer:
                    done = frame.header
        except HandsError:
            # The caller hears why when it has sent what it has; no more than a box could hold is waited for.
            left = (box.template.disk_mib + box.template.tmp_mib) * _MIB
            while left > 0 and (piece := await request.content.read(CHUNK)):
                left -= len(piece)
            raise
        return done

    def _box(self, request: web.Request) -> Box:
        return self._boxes.find(request.match_info["box"], _owner(request))


async def _followed(box: Box, header: Header) -> AsyncGenerator[Output | dict[str, Any]]:
    left = box.template.output_mib * _MIB
    async with aclosing(box.channel.ask(header)) as frames:
        async for frame in frames:
            if frame.header["kind"] == "out":
                # What the box says of its own limits is not relied on.
                yield Output(2 if frame.header.get("stream") == 2 else 1, frame.payload[: max(left, 0)])
                left -= len(frame.payload)
            else:
                yield {"exit_code": int(frame.header["exit_code"]), "ended_by": str(frame.header["ended_by"])}


def _line(piece: Output | dict[str, Any]) -> bytes:
    if isinstance(piece, Output):
        piece = {"stream": piece.stream, "data": base64.b64encode(piece.data).decode()}
    return json.dumps(piece).encode() + b"\n"


def _require_host(request: web.Request) -> None:
    if not request[_PEER].is_host:
        raise Stranger("a brain has a say over its own boxes only")


def _owner(request: web.Request) -> str | None:
    peer = request[_PEER]
    # This machine's own user sees all boxes, unless it asks for one owner's.
    return None if peer.is_host and OWNER not in request.headers else peer.owner


def _place(request: web.Request) -> str:
    return asked.Place.model_validate(dict(request.query)).path


def _marked(told: Header) -> web.Response:
    try:
        answer = {"generation": int(told["generation"]), "tree": str(told["tree"]), "entries": int(told["entries"])}
    except (LookupError, TypeError, ValueError) as error:
        raise BoxGone("the box does not say what was marked") from error
    return web.json_response(answer)


async def _body(request: web.Request, kind: type[AskedT]) -> AskedT:
    return kind.model_validate_json(await request.read())


def _refusal(status: int, kind: str, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": kind, "message": message, **more}, status=status)
