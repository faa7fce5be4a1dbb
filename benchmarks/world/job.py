"""What the world is told to play: the items of one trial, what strikes them, and how fast the model talks."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.contract import FaultPlan, Item
from triptych.settings import ScriptedSettings


class WorldJob(BaseModel):
    """One trial, as the world needs to know it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[Item, ...]
    plan: FaultPlan
    pace: ScriptedSettings = ScriptedSettings()
    """Of the model. It is kept by the clock: what a busy world is late with one chunk it takes off the next pause."""
    marks: tuple[str, ...] = ()
    """Of the processes that may be killed; none: none may."""
    tool_seconds: float = Field(default=0.0, ge=0)
    """How long the shop takes for a call."""
    ledger: str = Field(default="ledger.jsonl", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The name of the ledger's file, in the world's folder. Each job has one of its own."""
