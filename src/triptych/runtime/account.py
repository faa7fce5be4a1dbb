"""What one flow run has spent and changed, all its executions together."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pydantic_core import from_json

from triptych.errors import CheckpointTorn
from triptych.records import Checkpoint
from triptych.runtime.bounded import for_each, one_at_a_time
from triptych.runtime.checkpoints import GIVEN, decode, step_and_execution, took_effect
from triptych.runtime.spending import Spent, record, total
from triptych.runtime.store import CheckpointStore


class Account:
    """What a run has spent, by day, and what it has changed.

    An execution opens it with all that the run has paid before: it may not come by every step again, such as those of
    an agent that a tool has started. From then on only what is done anew is counted. Several threads may do that.

    Args:
        store: Where the run's checkpoints and its figures are kept.
        flow_run_id: The run.
        flow: Its flow's name.
    """

    def __init__(self, store: CheckpointStore, flow_run_id: str, flow: str) -> None:
        self.flow_run_id = flow_run_id
        self.flow = flow
        self._store = store
        self._days: dict[str, Spent] = {}
        self._saved: dict[str, Spent] = {}
        self._changed: dict[str, str] = {}
        self._with_steps_below: set[str] = set()
        self._counting = threading.Lock()
        self._saving = threading.Lock()

    @property
    def spent(self) -> Spent:
        """Through all days."""
        with self._counting:
            return total(self._days.values())

    @property
    def changed(self) -> tuple[str, ...]:
        """The labels of the steps that took effect."""
        with self._counting:
            return tuple(self._changed.values())

    def spent_on(self, day: str) -> Spent:
        """Return what it has spent on a day."""
        with self._counting:
            return self._days.get(day, Spent())

    async def open(self, keys: Sequence[str]) -> None:
        """Begin with what earlier executions have paid, and put right what they did not come to save.

        Args:
            keys: The names of all the run's checkpoints, be they such that this execution goes on from or not: a
                superseded execution has paid for its own, too.

        Raises:
            CheckpointStoreUnavailable: the store cannot be read or written.
        """
        paid = [key for key in keys if step_and_execution(key)[1] != GIVEN]
        for key in paid:
            self._with_steps_below.update(_steps_above(step_and_execution(key)[0]))
        read = [each for each in await for_each(paid, self._read) if each is not None]
        # Anew, where a store that did not answer ended a first try half way.
        self._days, self._changed = {}, {}
        for checkpoint, payload in sorted(read, key=lambda each: each[0].started_at):
            self.count(checkpoint, from_json(payload))
        for day in {*self._days, today()}:
            # What was saved may be more: of steps, say, whose checkpoints were lost.
            self._days[day] = await record(self._store, day, self.flow_run_id, self.flow, self.spent_on(day))
        self._saved = dict(self._days)

    async def _read(self, key: str) -> tuple[Checkpoint, bytes] | None:
        content = await self._store.read(key)
        try:
            return None if content is None else decode(key, content)
        except CheckpointTorn:
            # Whoever comes to that step is told; perhaps nobody does.
            return None

    def count(self, checkpoint: Checkpoint, value: object) -> None:
        """Add a step; one that a fork was given, another run has paid.

        Args:
            checkpoint: The step's.
            value: Its payload, as JSON has it.
        """
        if checkpoint.execution == GIVEN:
            return
        step = step_and_execution(checkpoint.key)[0]
        day = checkpoint.started_at.astimezone(UTC).date().isoformat()
        response = _response(checkpoint, value)
        with self._counting:
            self._with_steps_below.update(_steps_above(step))
            spent = Spent() if response is None else Spent.by_request(response)
            if step not in self._with_steps_below:
                # A tool that has started an agent took the time that the agent's steps took.
                spent += Spent(seconds=checkpoint.seconds)
            self._days[day] = self._days.get(day, Spent()) + spent
            if took_effect(checkpoint, value):
                self._changed[step] = checkpoint.label

    async def save(self) -> None:
        """Write down what is not written down yet, for whoever reckons up a day.

        Raises:
            CheckpointStoreUnavailable: the store cannot be read or written.
        """
        async with one_at_a_time(self._saving):
            with self._counting:
                due = {day: spent for day, spent in self._days.items() if spent != self._saved.get(day)}
            for day, spent in due.items():
                await record(self._store, day, self.flow_run_id, self.flow, spent)
                self._saved[day] = spent


def today() -> str:
    """Return the day, in UTC."""
    return datetime.now(UTC).date().isoformat()


def _steps_above(step: str) -> Iterator[str]:
    """Return the steps within which a step was taken: `checkpoints/<run>`, then an agent run and a step at a time."""
    parts = step.split("/")
    return ("/".join(parts[:count]) for count in range(len(parts) - 2, 2, -2))


def _response(checkpoint: Checkpoint, value: object) -> dict[str, Any] | None:
    """Return what a model has answered, be it with a compaction; None for a step that was no model request."""
    if checkpoint.tool_call_id is not None or not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    return fields if fields.get("kind") == "response" else None
