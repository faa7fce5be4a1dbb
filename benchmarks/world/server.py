"""Serves the world on loopback: `python -m benchmarks.world.server --folder F --ready-file R`, a job on its input.

It writes its base URL to R once it listens. `PUT /world/job` gives it the next job; see `WorldJob`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from benchmarks.world import provider, shop, taking
from benchmarks.world.attempts import Stage
from benchmarks.world.course import Course
from benchmarks.world.exchange import Exchange, Gone
from benchmarks.world.faults import Faults
from benchmarks.world.job import WorldJob
from benchmarks.world.ledger import Ledger
from benchmarks.world.tools import specs
from triptych.errors import ConfigurationError

_KEPT_ALIVE_SECONDS = 600
"""As long as providers keep idle connections: one that a client still counts on is not closed under its hands."""
_GRACE_SECONDS = 1
_BACKLOG = 2048

Handler: TypeAlias = Callable[[Exchange, Stage], Awaitable[None]]


class World:
    """The world, as an ASGI application.

    Attributes:
        app: The application.
    """

    def __init__(self, folder: Path, *, with_code: bool = False) -> None:
        """Make it, with no job yet.

        Args:
            folder: Where its ledgers go.
            with_code: Whether arms are told of a tool that runs code.
        """
        self._folder = folder
        self._stage: Stage | None = None
        self._specs = specs(with_code=with_code)
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._on_stage(provider.complete), methods=["POST"]),
                Route("/shop/tools.json", _Endpoint(self._tools), methods=["GET"]),
                Route("/shop/{item}/tools.json", _Endpoint(self._tools), methods=["GET"]),
                Route("/shop/{item}/{tool}", self._on_stage(shop.call), methods=["POST"]),
                Route("/taken/{item}", self._on_stage(taking.take), methods=["GET"]),
                Route("/world/job", _Endpoint(self._take_job), methods=["PUT"]),
            ]
        )

    def begin(self, job: WorldJob, base_url: str) -> None:
        """Play this job from now on. What is under way of an earlier one goes on as that job says.

        Args:
            job: The job.
            base_url: Where the world listens.

        Raises:
            ConfigurationError: there is a ledger of its name, or an item that cannot be played.
        """
        courses = {item.id: Course(item, base_url) for item in job.items}
        if len(courses) != len(job.items):
            raise ConfigurationError("two items of the job have one id")
        try:
            ledger = Ledger(self._folder / job.ledger)
        except FileExistsError as reason:
            raise ConfigurationError(f"there is a ledger {job.ledger} already: each job has its own") from reason
        self._stage = Stage(job, courses, Faults(job.plan.faults), ledger)

    def _on_stage(self, handler: Handler) -> _Endpoint:
        async def handle(exchange: Exchange) -> None:
            if self._stage is None:
                await exchange.reply(409, {"error": "the world has no job yet: PUT /world/job"})
                return
            await handler(exchange, self._stage)

        return _Endpoint(handle)

    async def _tools(self, exchange: Exchange) -> None:
        await exchange.reply(200, self._specs)

    async def _take_job(self, exchange: Exchange) -> None:
        data = await exchange.body()
        try:
            self.begin(WorldJob.model_validate_json(data), exchange.base_url)
        except (ValidationError, ConfigurationError) as reason:
            await exchange.reply(400, {"error": str(reason)})
            return
        await exchange.reply(200, {})


class _Endpoint:
    """A handler as Starlette takes one that answers by itself."""

    def __init__(self, handle: Callable[[Exchange], Awaitable[None]]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._handle(Exchange(scope, receive, send))
        except Gone:
            return


async def serve(world: World, ready_file: Path, job: WorldJob | None) -> None:
    """Serve until a signal ends it.

    Args:
        world: What to serve.
        ready_file: Gets the base URL once it listens.
        job: The first one; None: it comes later.
    """
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(_BACKLOG)
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if job is not None:
            world.begin(job, base_url)
        config = uvicorn.Config(
            world.app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEPT_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            # Put into place as a whole: whoever looks sees nothing or all of it.
            new = ready_file.with_suffix(".new")
            new.write_text(base_url, encoding="utf-8")
            os.replace(new, ready_file)
        await serving


def main() -> None:
    """Be the world; the job on the standard input may be missing, and then comes by `PUT /world/job`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the ledgers")
    parser.add_argument("--ready-file", type=Path, required=True, help="gets the base URL")
    parser.add_argument("--with-code", action="store_true", help="tell arms of a tool that runs code")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    world = World(given.folder, with_code=given.with_code)
    job = sys.stdin.read().strip()
    asyncio.run(serve(world, given.ready_file, WorldJob.model_validate_json(job) if job else None))


if __name__ == "__main__":
    main()
