"""The person whom arms ask: takes the item's hours, scaled, and then says what the item's course has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from benchmarks.arms.protocol import Look
from benchmarks.contract import Decision, Item, told

STALE_SECONDS = 15.0
"""An answer that an arm has not taken notice of by then was not taken: it is asked again."""
SETTLE_SECONDS = 2.0
"""How long every item has waited until nothing but waiting goes on: processes that are done need a moment to go."""
READ_SECONDS = 3.0
"""For how long nobody answers from then on, so that what is held and used can be read; a trial may take longer."""
OPEN_AT_THE_LATEST_SECONDS = 240.0
"""After the first item began to wait: one that is stuck does not hold all others up. One that comes back late is waited
for: an arm that heartbeats bring back after 90 s, or twice, has its idle cost read as well."""


class Desk:
    """Where the person sits whom all items of a trial ask.

    People take hours. What an arm holds in those is read while every item under way waits and nothing else goes on, so
    the desk is closed until that has been so for a while. From then on it is open for the rest of the trial.

    Attributes:
        opened_at: From when on the person answers, as a Unix time in seconds; None: not yet.
        is_quiet: Whether every item under way waits, and has done so for `SETTLE_SECONDS`.
    """

    def __init__(self, *, opened_at: float | None = None, read_seconds: float = READ_SECONDS) -> None:
        """Remember whether it is open, and for how long what is held is read; nobody waits yet."""
        self.opened_at = opened_at
        self._read_seconds = read_seconds
        self.is_quiet = False
        self._first: float | None = None
        self._all_since: float | None = None

    def look(self, waiting: Collection[bool], now: float) -> None:
        """Take note of how the trial stands.

        Args:
            waiting: Of each item under way, whether it waits.
            now: Unix time in seconds.
        """
        if self._first is None and any(waiting):
            self._first = now
        if not waiting or not all(waiting):
            self._all_since = None
        elif self._all_since is None:
            self._all_since = now
        seconds = 0.0 if self._all_since is None else now - self._all_since
        self.is_quiet = seconds >= SETTLE_SECONDS
        is_late = self._first is not None and now - self._first >= OPEN_AT_THE_LATEST_SECONDS
        if self.opened_at is None and (seconds >= SETTLE_SECONDS + self._read_seconds or is_late):
            self.opened_at = now

    def disturb(self) -> None:
        """Take note that something is done to the whole arm: its processes have to settle anew."""
        self._all_since, self.is_quiet = None, False


@dataclass
class Asked:
    """What one item has been asked about."""

    item: Item
    time_scale: float
    """Seconds of the item's time in a second of ours."""
    desk: Desk
    asked: int = 0
    asked_again: int = 0
    decisions: list[Decision] = field(default_factory=list[Decision])
    """What the person said, the first first."""
    _waits: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _since: float | None = None
    _decided: dict[str, float] = field(default_factory=dict[str, float])
    _moved_on: bool = True

    def look(self, look: Look, now: float) -> bool | None:
        """Take note of how the item stands; return what the person says now, or None while there is nothing to say.

        Args:
            look: What the arm tells.
            now: Unix time in seconds.
        """
        if look.state != "waiting":
            self._moved_on = True
            self._no_longer_waits(now)
            return None
        call = look.asks or ""
        if call in self._decided and not self._moved_on and now - self._decided[call] < STALE_SECONDS:
            return None
        if self._since is None:
            self._since = now
            self.asked += 1
            if call in self._decided:
                self.asked_again += 1
        opened_at = self.desk.opened_at
        if opened_at is None or now - max(self._since, opened_at) < self.item.wait_hours * 3600 / self.time_scale:
            return None
        self._no_longer_waits(now)
        self._moved_on = False
        self._decided[call] = now
        approve = self._says(call)
        self.decisions.append(Decision(at=now, call=call, approve=approve))
        return approve

    @property
    def is_waiting(self) -> bool:
        """Whether it is the person's turn."""
        return self._since is not None

    def waits(self, now: float) -> tuple[tuple[float, float], ...]:
        """Return from when to when it waited, as Unix times in seconds; what is not over ends now."""
        return (*self._waits, *([] if self._since is None else [(self._since, now)]))

    def _no_longer_waits(self, now: float) -> None:
        self._waits = list(self.waits(now))
        self._since = None

    def _says(self, call: str) -> bool:
        approved = [action for action in self.item.actions if action.approval == "approve"]
        return any(told(action.name, action.arguments) == call for action in approved)
