"""What the support agents' tools work on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from triptych.errors import ConfigurationError
from triptych.loop.desk import OrderDesk
from triptych.loop.witness import Witness
from triptych.settings import Settings


@dataclass(frozen=True)
class DeskDeps:
    """Handed to every tool of a support agent."""

    desk: OrderDesk
    witness: Witness | None = None
    """Where tool calls and effects are noted for tests, demo and benchmark; None: nowhere."""


@contextmanager
def open_deps(settings: Settings) -> Generator[DeskDeps]:
    """Open the order desk that the settings name, for as long as one run of an agent takes.

    Args:
        settings: `desk_url` and `witness` count.

    Yields:
        The deps of a support agent.

    Raises:
        ConfigurationError: The desk cannot be opened, or no records were ever loaded into it. Nothing has been
            spent. The operator sees it.
        ConnectionError: The desk's database does not answer; it may later.
    """
    with OrderDesk(settings.resolved_desk_url) as desk:
        if desk.is_empty():
            raise ConfigurationError(
                f"{desk!r} holds no records yet: load a folder of users.json, orders.json and products.json into it "
                "with OrderDesk(url).load(folder), or set TRIPTYCH_DESK_URL to the desk you mean"
            )
        yield DeskDeps(desk=desk, witness=None if settings.witness is None else Witness(settings.witness))
