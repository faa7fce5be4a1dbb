"""The sandbox's boxes that live now, the end of those whose time is over, and the pool of brains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from triptych.cli.terminal import Json, connected, out, print_json, table
from triptych.settings import Settings

AnswerT = TypeVar("AnswerT")
_MIB = 1024 * 1024


def sandboxes(as_json: Json = False) -> None:
    """List the boxes of this home's broker: whose they are, how old, what they use, what is left of their lease."""
    rows: list[dict[str, Any]] = _ask(lambda client: client.boxes(memory=True))
    if as_json:
        print_json(rows)
        return
    table(
        "Boxes",
        ["box", "owner", "template", "container", "age", "memory", "lease left"],
        [
            [
                row["id"][:12],
                row["owner"],
                row["template"],
                row["container"],
                f"{row['age_seconds']:.0f} s",
                None if row["memory_bytes"] is None else f"{row['memory_bytes'] / _MIB:.0f} MiB",
                f"{row['lease_seconds']:.0f} s",
            ]
            for row in rows
        ],
    )


def reap(as_json: Json = False) -> None:
    """End now every box whose lease or life is over; the broker does so by itself within a second or two."""
    ended: int = _ask(lambda client: client.reap())
    if as_json:
        print_json({"ended": ended})
    else:
        out.print(f"{ended} ended", highlight=False)


def pool(as_json: Json = False) -> None:
    """Make the Docker work pool's containers what `TRIPTYCH_BRAIN__...` say: hardened beyond a deployment's reach."""
    settings = Settings()
    connected(settings)
    from triptych.runtime.brains import put_in_force
    from triptych.runtime.server import BRAINS

    template = asyncio.run(put_in_force(settings))
    if as_json:
        print_json({"work_pool": BRAINS, "base_job_template": template})
    else:
        out.print(f"In force for the work pool {BRAINS}: brains of the image {settings.brain.image}", highlight=False)


def _ask(question: Callable[[Any], Awaitable[AnswerT]]) -> AnswerT:
    from triptych.sandbox.client import Client
    from triptych.sandbox.folder import socket_path

    async def ask() -> AnswerT:
        client = Client(socket_path(Settings().sandbox_folder))
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(ask())
