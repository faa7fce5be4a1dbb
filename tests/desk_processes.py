"""What tests run in processes of their own over a shared order desk; imports little, since each process pays for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NoReturn

from triptych.loop.desk import Applied, Change, OrderDesk, Records


def deposit(desk: OrderDesk, key: str, cents: int, tool: str = "deposit") -> Applied:
    """Add to a gift card; reads, works and writes, so that two at once would lose one without the transaction."""

    def change(records: Records) -> Change:
        user = records.user("ada")
        assert user is not None
        user["payment_methods"]["gift_card_1"]["balance"] += cents
        return Change(result=f"deposited {key}", users={"ada": user})

    return desk.apply(key=key, tool=tool, arguments={"cents": cents}, change=change)


def deposit_one(url: str, key: str) -> tuple[str, bool]:
    """Open the desk and make a deposit; gives its result, and whether it was new."""
    with OrderDesk(url) as desk:
        done = deposit(desk, key, 1)
        return done.result, done.new


class _HangingOrders(dict[str, Any]):
    """Hangs where the desk comes to write the orders: the users are written then, the effect is not."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self._marker = marker

    def items(self) -> NoReturn:
        _hang(self._marker)


def deposit_and_hang(url: str, key: str, marker: str, *, committed: bool) -> None:
    """Make a deposit and hang, amid its transaction or right after it; then the marker file is there."""

    def change(records: Records) -> Change:
        user = records.user("ada")
        assert user is not None
        user["payment_methods"]["gift_card_1"]["balance"] += 1
        orders: dict[str, Any] = {} if committed else _HangingOrders(marker)
        return Change(result=f"deposited {key}", users={"ada": user}, orders=orders)

    with OrderDesk(url) as desk:
        desk.apply(key=key, tool="deposit", arguments={"cents": 1}, change=change)
        _hang(marker)


def _hang(marker: str) -> NoReturn:
    Path(marker).touch()
    time.sleep(600)
    raise AssertionError("nobody killed this process")


def load(url: str, records: dict[str, Any]) -> int:
    """Open the desk and load records; gives how many were added."""
    with OrderDesk(url) as desk:
        return desk.load(records)
