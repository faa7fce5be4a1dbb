"""What runs have spent, by day: kept in the checkpoint store so that it outlives every process.

An object's name says all: `spending/<day>/<flow run>/<flow>/<steps>-<tokens>-<millionths of a dollar>-<milliseconds>`.
The figures are what the run has spent on that day up to then, so one listing has everybody's, and a run that was
executed again and writes its figures anew is not counted twice. Of several names of one run the highest figures count:
a lower one is what a crash left behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pydantic_ai.usage import RequestUsage

from triptych.runtime.checkpoints import plain_name
from triptych.runtime.store import CheckpointStore

ROOT = "spending"
_MILLION = 1_000_000


@dataclass(frozen=True)
class Spent:
    """What was spent."""

    steps: int = 0
    """Model requests."""
    tokens: int = 0
    """Input and output together."""
    cost_usd: float = 0.0
    """Of the requests that have a list price."""
    seconds: float = 0.0
    """That steps took. Waiting for a person, a worker or a recovery is not among them."""

    def __add__(self, other: Self) -> Spent:
        return Spent(
            self.steps + other.steps,
            self.tokens + other.tokens,
            self.cost_usd + other.cost_usd,
            self.seconds + other.seconds,
        )

    @classmethod
    def of(cls, usage: RequestUsage | None, seconds: float) -> Self:
        """Return what one step has spent; `usage` is that of a model request."""
        if usage is None:
            return cls(seconds=seconds)
        return cls(1, usage.input_tokens + usage.output_tokens, float(usage.cost or 0), seconds)


def total(spent: Iterable[Spent]) -> Spent:
    """Return the sum."""
    return sum(spent, Spent())


async def spent_by_others(store: CheckpointStore, day: str, flow_run_id: str) -> dict[str, Spent]:
    """Return what all runs but one have spent on a day, by the names of their flows.

    Args:
        store: Where it is kept.
        day: Like 2026-01-31, in UTC.
        flow_run_id: The run that is left out.

    Raises:
        CheckpointStoreUnavailable: the store cannot be read.
    """
    runs: dict[str, tuple[str, Spent]] = {}
    for key in await store.keys(f"{ROOT}/{day}"):
        _, _, run, flow, figures = key.split("/")
        spent = _parsed(figures)
        if run != flow_run_id and (run not in runs or _order(runs[run][1]) < _order(spent)):
            runs[run] = (flow, spent)
    flows: dict[str, Spent] = {}
    for flow, spent in runs.values():
        flows[flow] = flows.get(flow, Spent()) + spent
    return flows


async def record(store: CheckpointStore, day: str, flow_run_id: str, flow: str, spent: Spent) -> None:
    """Write down what a run has spent on a day up to now, in place of what stood there.

    Raises:
        CheckpointStoreUnavailable: the store cannot be written.
    """
    place = f"{ROOT}/{day}/{flow_run_id}"
    former = await store.keys(place)
    key = f"{place}/{flow_name(flow)}/{_named(spent)}"
    await store.write(key, b"{}")
    for each in former:
        if each != key:
            await store.remove(each)


def flow_name(flow: str) -> str:
    """Return a flow's name as it stands in the names of objects."""
    return plain_name(flow)


def _named(spent: Spent) -> str:
    return f"{spent.steps}-{spent.tokens}-{round(spent.cost_usd * _MILLION)}-{round(spent.seconds * 1000)}"


def _parsed(figures: str) -> Spent:
    steps, tokens, millionths, milliseconds = map(int, figures.split("-"))
    return Spent(steps, tokens, millionths / _MILLION, milliseconds / 1000)


def _order(spent: Spent) -> tuple[float, ...]:
    return spent.steps, spent.tokens, spent.seconds
