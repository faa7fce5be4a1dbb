"""The person whom arms ask: takes the item's hours, scaled, and then says what the item's course has."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from benchmarks.arms.protocol import Look
from benchmarks.contract import Item

STALE_SECONDS = 15.0
"""An answer that an arm has not taken notice of by then was not taken: it is asked again."""


@dataclass
class Asked:
    """What one item has been asked about."""

    item: Item
    time_scale: float
    """Seconds of the item's time in a second of ours."""
    asked: int = 0
    asked_again: int = 0
    waited_seconds: float = 0.0
    _since: float | None = None
    _decided: dict[str, float] = field(default_factory=dict[str, float])
    _moved_on: bool = True

    def look(self, look: Look, now: float) -> bool | None:
        """Take note of how the item stands; return what the person says now, or None while there is nothing to say.

        Args:
            look: What the arm tells.
            now: Of any clock that does not go back, in seconds.
        """
        if look.state != "waiting":
            self._moved_on = True
            self._since = None
            return None
        call = look.asks or ""
        if call in self._decided and not self._moved_on and now - self._decided[call] < STALE_SECONDS:
            return None
        if self._since is None:
            self._since = now
            self.asked += 1
            if call in self._decided:
                self.asked_again += 1
        if now - self._since < self.item.wait_hours * 3600 / self.time_scale:
            return None
        self.waited_seconds += now - self._since
        self._since, self._moved_on = None, False
        self._decided[call] = now
        return self._says(call)

    @property
    def is_waiting(self) -> bool:
        """Whether it is the person's turn."""
        return self._since is not None

    def _says(self, call: str) -> bool:
        approved = [action for action in self.item.actions if action.approval == "approve"]
        return any(told(action.name, action.arguments) == call for action in approved)


def told(name: str, arguments: dict[str, object]) -> str:
    """Return a call as arms tell it: `name(arguments as sorted JSON)`."""
    return f"{name}({json.dumps(arguments, sort_keys=True)})"
