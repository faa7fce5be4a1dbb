"""Which runs that say they are under way have no process any more: those that give no sign of life.

In open-source Prefect such a run says Running for ever, where the worker that would report it died as well. A flow's
process sends a heartbeat, an event from a thread of its own, so a long request or a long tool is no silence.
`triptych up` has Prefect send them; elsewhere PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter

HEARTBEAT = "prefect.flow-run.heartbeat"
HEARTBEAT_SECONDS = 30
"""How often Prefect sends one; it allows no shorter time."""


@dataclass
class Vitals:
    """What one recovery loop has heard of the runs under way.

    Attributes:
        silent_seconds: How long a run may be silent.
        all_send: Whether every run sends heartbeats, so that one which was never heard has died at once. Otherwise such
            a run is left to its worker: it may be one that sends none.
        heard: When each run gave its last sign of life, as far as it was looked for.
    """

    silent_seconds: float
    all_send: bool = False
    heard: dict[UUID, datetime] = field(default_factory=dict[UUID, datetime])
    _listening_since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def forget(self) -> None:
        """Begin anew: while the server was away, no sign of life could reach it."""
        self._listening_since = datetime.now(UTC)

    async def silence(self, client: PrefectClient, run: FlowRun) -> timedelta | None:
        """Return how long a run has been silent, where that is too long; None for one that lives, as far as known."""
        assert run.state is not None
        began = run.state.timestamp
        known = max(began, self._listening_since, self.heard.get(run.id, began))
        if not self._is_long(known):
            return None
        last = await self._last_heartbeat(client, run.id, began) or (began if self.all_send else None)
        if last is None:
            return None
        self.heard[run.id] = last
        return datetime.now(UTC) - last if self._is_long(max(last, self._listening_since)) else None

    def _is_long(self, since: datetime) -> bool:
        return datetime.now(UTC) - since >= timedelta(seconds=self.silent_seconds)

    async def _last_heartbeat(self, client: PrefectClient, flow_run_id: UUID, since: datetime) -> datetime | None:
        page = await client.read_events(
            EventFilter(
                event=EventNameFilter(name=[HEARTBEAT]),
                resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
                occurred=EventOccurredFilter(since=cast(Any, since - timedelta(seconds=HEARTBEAT_SECONDS))),
            ),
            limit=1,
        )
        return cast(datetime, page.events[0].occurred) if page.events else None
