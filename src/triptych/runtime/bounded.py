"""Do many things at once, but not all of them: a store and a server have other callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
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
