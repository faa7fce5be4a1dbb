"""The broker: the only thing that talks to Docker. A small HTTP service on a unix socket of the Docker host.

```
POST   /boxes                     {"template": ...}              -> {"id": ...}
GET    /boxes                                                    -> [{"id", "owner", "template", ...}] [?memory]
POST   /boxes/ID/renew                                           the owner lives
POST   /boxes/ID/run              {"argv", "env", "timeout_seconds"}
POST   /boxes/ID/files            {"operation", "path"}
GET    /boxes/ID/content?path=    PUT                            a file's bytes
GET    /boxes/ID/tree?path=       PUT                            a folder as a tar archive
DELETE /boxes/ID
POST   /reap                                                     for this machine's own processes only
```
"""

from __future__ import annotations

import asyncio
import base64
import errno
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox import asked
from triptych.sandbox.boxes import Box, Boxes
from triptych.sandbox.channel import BoxGone, HandsError
from triptych.sandbox.engine import Engine
from triptych.sandbox.hands.frames import CHUNK
from triptych.sandbox.peers import Peer, Stranger, identify

OWNER = "X-Triptych-Owner"
_MIB = 1024 * 1024
_MAX_JSON_BYTES = 2 * _MIB
_PEER = web.RequestKey("peer", Peer)

AskedT = TypeVar("AskedT", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Broker:
    """Serves boxes to those who may have them.

    Args:
        engine: Docker.
        boxes: The boxes there are.
    """

    def __init__(self, engine: Engine, boxes: Boxes) -> None:
        self._engine = engine
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
                web.post("/boxes/{box}/files", self._file),
                web.get("/boxes/{box}/content", self._read),
                web.put("/boxes/{box}/content", self._write),
                web.get("/boxes/{box}/tree", self._pack),
                web.put("/boxes/{box}/tree", self._unpack),
                web.post("/reap", self._reap),
            ]
        )
        return app

    @web.middleware
    async def _answer_for(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks, and say in one way what went wrong."""
        transport = request.transport
        try:
            if transport is None:
                raise Stranger("the caller is gone already")
            connection = transport.get_extra_info("socket")
            request[_PEER] = await identify(connection, request.headers.get(OWNER), self._engine)
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
        if not request[_PEER].is_host:
            raise Stranger("a brain ends its own boxes only")
        return web.json_response({"ended": await self._boxes.reap()})

    async def _run(self, request: web.Request) -> web.Response:
        box, command = self._box(request), await _body(request, asked.Run)
        if command.size_bytes() > asked.MAX_TEXT_BYTES:
            raise ConfigurationError(f"a command and its environment are at most {asked.MAX_TEXT_BYTES} bytes")
        header = {
            "kind": "run",
            "argv": command.argv,
            "env": command.env,
            "timeout": command.timeout_seconds,
            "max_output": box.template.output_mib * _MIB,
        }
        output: dict[int, list[bytes]] = {1: [], 2: []}
        left = box.template.output_mib * _MIB
        ended: dict[str, Any] = {}
        async with aclosing(box.channel.ask(header)) as frames:
            async for frame in frames:
                if frame.header["kind"] == "out":
                    # What the box says of its own limits is not relied on.
                    output[2 if frame.header.get("stream") == 2 else 1].append(frame.payload[: max(left, 0)])
                    left -= len(frame.payload)
                else:
                    ended = frame.header
        return web.json_response(
            {
                "exit_code": int(ended["exit_code"]),
                "ended_by": str(ended["ended_by"]),
                "stdout": base64.b64encode(b"".join(output[1])).decode(),
                "stderr": base64.b64encode(b"".join(output[2])).decode(),
            }
        )

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
        return await self._out(request, "read")

    async def _pack(self, request: web.Request) -> web.StreamResponse:
        return await self._out(request, "pack")

    async def _write(self, request: web.Request) -> web.Response:
        return await self._in(request, "write")

    async def _unpack(self, request: web.Request) -> web.Response:
        return await self._in(request, "unpack")

    async def _out(self, request: web.Request, kind: str) -> web.StreamResponse:
        box, place = self._box(request), asked.Place.model_validate(dict(request.query))
        async with aclosing(box.channel.ask({"kind": kind, "path": place.path})) as answer:
            # What is wrong from the beginning has a status of its own.
            first = await anext(answer)
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            try:
                await response.write(first.payload)
                async for frame in answer:
                    await response.write(frame.payload)
            except (BoxGone, HandsError):
                # Half a file never looks like a whole one.
                if request.transport is not None:
                    request.transport.abort()
                return response
            await response.write_eof()
        return response

    async def _in(self, request: web.Request, kind: str) -> web.Response:
        box, place = self._box(request), asked.Place.model_validate(dict(request.query))
        content: AsyncIterator[bytes] = request.content.iter_chunked(CHUNK)
        try:
            async with aclosing(box.channel.ask({"kind": kind, "path": place.path}, content)) as answer:
                async for _ in answer:
                    pass
        except HandsError:
            # The caller hears why when it has sent what it has; no more than a box could hold is waited for.
            left = (box.template.disk_mib + box.template.tmp_mib) * _MIB
            while left > 0 and (piece := await request.content.read(CHUNK)):
                left -= len(piece)
            raise
        return web.json_response({})

    def _box(self, request: web.Request) -> Box:
        return self._boxes.find(request.match_info["box"], _owner(request))


def _owner(request: web.Request) -> str | None:
    peer = request[_PEER]
    # This machine's own user sees all boxes, unless it asks for one owner's.
    return None if peer.is_host and OWNER not in request.headers else peer.owner


async def _body(request: web.Request, kind: type[AskedT]) -> AskedT:
    return kind.model_validate_json(await request.read())


def _refusal(status: int, kind: str, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": kind, "message": message, **more}, status=status)
