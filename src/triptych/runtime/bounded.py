"""Do many things at once, but not all of them: a store and a server have other callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

AT_ONCE = 8


async def for_each(items: Iterable[ItemT], do: Callable[[ItemT], Awaitable[ResultT]]) -> list[ResultT]:
    """Return what `do` gives for each item, in the items' order; a few are under way at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: ItemT) -> ResultT:
        async with places:
            return await do(item)

    return await asyncio.gather(*(one(item) for item in items))


@asynccontextmanager
async def one_at_a_time(lock: threading.Lock) -> AsyncGenerator[None]:
    """Hold a lock that coroutines of several threads want; an event loop goes on while one of its own waits."""
    while not lock.acquire(blocking=False):
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        lock.release()
