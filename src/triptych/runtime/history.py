"""What a flow run has done, step by step, as its checkpoints tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import from_json

from triptych.errors import CheckpointMissing, ConfigurationError
from triptych.records import Checkpoint
from triptych.runtime.checkpoints import decode, run_prefix, took_effect
from triptych.runtime.earlier import found_by
from triptych.runtime.store import CheckpointStore

_LATEST = 1_000_000_000
"""No execution comes to that number: what such a one would go on from is what counts now."""


@dataclass(frozen=True)
class Step:
    """One checkpoint that counts.

    Attributes:
        number: From 1, in the order in which the steps were begun.
        checkpoint: The record.
        payload: What the operation gave, as JSON.
        content: The whole object.
    """

    number: int
    checkpoint: Checkpoint
    payload: bytes
    content: bytes

    @property
    def name(self) -> str:
        """What a command calls the step by: its place below the run, whichever execution took it."""
        place = self.checkpoint.key.removeprefix(f"{run_prefix(self.checkpoint.flow_run_id)}/")
        return place.rsplit(".", 2)[0]

    @property
    def value(self) -> dict[str, Any]:
        """What the operation gave: a model's response, or what became of a tool call, as pydantic-ai writes it down."""
        value = from_json(self.payload)
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {"value": value}

    @property
    def took_effect(self) -> bool:
        """Whether it changed something outside, as far as is known."""
        return took_effect(self.checkpoint, self.value)


async def read_history(store: CheckpointStore, flow_run_id: str) -> list[Step]:
    """Return the steps of a run that count, in the order in which they were begun.

    Raises:
        CheckpointMissing: there are none. The message says whether they were pruned.
        CheckpointStoreUnavailable, CheckpointTorn: they cannot be read.
    """
    found: list[tuple[Checkpoint, bytes, bytes]] = []
    for key in await found_by(store, flow_run_id, _LATEST):
        content = await store.read(key)
        if content is None:
            raise CheckpointMissing(f"checkpoint {key} is listed in {store.backend.place}, and is not there")
        found.append((*decode(key, content), content))
    if not found:
        pruned = await store.read(pruned_key(flow_run_id))
        why = (
            "it was pruned"
            if pruned is not None
            else "no agent took a step in it (a command agent takes none), or it keeps them in another store"
        )
        raise CheckpointMissing(f"run {flow_run_id} has no checkpoints in {store.backend.place}: {why}")
    found.sort(key=lambda each: each[0].started_at)
    return [Step(number, *each) for number, each in enumerate(found, start=1)]


def pruned_key(flow_run_id: str) -> str:
    """Return where it stands that a run's checkpoints were removed."""
    return f"pruned/{flow_run_id}.json"


def step_called(steps: list[Step], name: str) -> Step:
    """Return the step with this number or name.

    Raises:
        ConfigurationError: there is none.
    """
    for step in steps:
        if name in (str(step.number), step.name):
            return step
    raise ConfigurationError(
        f"there is no step {name!r}: the run has the steps 1 to {len(steps)} (`triptych history` lists them)"
    )
