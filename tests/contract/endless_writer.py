"""Writes one object again and again, each time other bytes, until it is killed.

Prints the number of each write that the store has confirmed.
"""

from __future__ import annotations

import asyncio
import json
import sys

from triptych.runtime.backends import Backend
from triptych.runtime.folder import FolderBackend
from triptych.runtime.s3 import S3Backend

KEY = "torn/or-whole"
SIZE = 3_000_000


def content(number: int) -> bytes:
    """Bytes that tell which write they are of, from the first to the last."""
    return (b"%016d" % number) * (SIZE // 16)


def number_of(found: bytes) -> int:
    """The write that these bytes are of, wholly."""
    number = int(found[:16])
    assert found == content(number), f"torn: {len(found)} bytes that begin with write {number}"
    return number


async def write_forever(backend: Backend) -> None:
    number = 0
    while True:
        number += 1
        await backend.write(KEY, content(number))
        print(number, flush=True)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    asyncio.run(write_forever(FolderBackend(told["folder"]) if "folder" in told else S3Backend(**told)))
