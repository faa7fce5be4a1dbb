"""What runs have spent, by day: kept in the checkpoint store so that it outlives every process.

An object's name says all: `spending/<day>/<flow run>/<flow>/<steps>-<tokens>-<millionths of a dollar>-<milliseconds>`.
The figures are what the run has spent on that day up to then, so one listing has everybody's, and a run that was
executed again and writes its figures anew is not counted twice. They only grow: of several names of one run (a crash
left one behind, or two executions wrote at once) the highest of each figure counts, and whoever writes removes none
that is higher than what it writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from triptych.runtime.checkpoints import plain_name
from triptych.runtime.store import CheckpointStore

ROOT = "spending"
_MILLION = 1_000_000
_NAME = re.compile(
    rf"{ROOT}/(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/(?P<run>[^/]+)/(?P<flow>[^/]+)"
    r"/(?P<steps>[0-9]+)-(?P<tokens>[0-9]+)-(?P<millionths>[0-9]+)-(?P<milliseconds>[0-9]+)"
)


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

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.steps + other.steps,
            self.tokens + other.tokens,
            self.cost_usd + other.cost_usd,
            self.seconds + other.seconds,
        )

    def or_more(self, other: Self) -> Self:
        """Return the higher of each two figures."""
        return type(self)(
            max(self.steps, other.steps),
            max(self.tokens, other.tokens),
            max(self.cost_usd, other.cost_usd),
            max(self.seconds, other.seconds),
        )

    @classmethod
    def by_request(cls, response: dict[str, Any]) -> Self:
        """Return what one model request has cost, but for its seconds.

        Args:
            response: As pydantic-ai writes it down. Responses that a fallback model rejected before were paid as well.
        """
        attempts: list[dict[str, Any]] = response.get("failed_attempts") or []
        usages: list[dict[str, Any]] = [each.get("usage") or {} for each in (response, *attempts)]
        tokens = sum(_figure(usage.get(f"{way}_tokens")) for usage in usages for way in ("input", "output"))
        return cls(1, int(tokens), sum(_figure(usage.get("cost")) for usage in usages))


def _figure(said: object) -> float:
    """Return what a provider said; nothing where that is no amount, since one response must not unsettle all sums."""
    amount = float(str(said or 0))
    return amount if math.isfinite(amount) and amount > 0 else 0.0


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
    runs: dict[tuple[str, str], Spent] = {}
    for key in await store.keys(f"{ROOT}/{day}"):
        entry = _entry(key)
        if entry is not None and entry.run != flow_run_id:
            run = (entry.run, entry.flow)
            runs[run] = entry.spent.or_more(runs.get(run, Spent()))
    flows: dict[str, Spent] = {}
    for (_, flow), spent in runs.items():
        flows[flow] = flows.get(flow, Spent()) + spent
    return flows


async def record(store: CheckpointStore, day: str, flow_run_id: str, flow: str, spent: Spent) -> Spent:
    """Write down what a run has spent on a day up to now, in place of what stood there.

    Returns:
        What stands there now: the highest of each figure.

    Raises:
        CheckpointStoreUnavailable: the store cannot be read or written.
    """
    place = f"{ROOT}/{day}/{flow_run_id}"
    former = {key: entry.spent for key in await store.keys(place) if (entry := _entry(key)) is not None}
    for each in former.values():
        spent = spent.or_more(each)
    key = f"{place}/{flow_name(flow)}/{_named(spent)}"
    if spent != Spent() and key not in former:
        await store.write(key, b"{}")
    for each in former:
        if each != key:
            await store.remove(each)
    return spent


async def days_before(store: CheckpointStore, day: str) -> list[str]:
    """Return the names of what was spent before a day.

    Raises:
        CheckpointStoreUnavailable: the store cannot be read.
    """
    return [key for key in await store.keys(ROOT) if (entry := _entry(key)) is not None and entry.day < day]


def flow_name(flow: str) -> str:
    """Return a flow's name as it stands in the names of objects."""
    return plain_name(flow)


class _Entry(NamedTuple):
    day: str
    run: str
    flow: str
    spent: Spent


def _entry(key: str) -> _Entry | None:
    """Return what a name says; None where it is not one of ours."""
    matched = _NAME.fullmatch(key)
    if matched is None:
        return None
    figures = (int(matched[figure]) for figure in ("steps", "tokens", "millionths", "milliseconds"))
    steps, tokens, millionths, milliseconds = figures
    spent = Spent(steps, tokens, millionths / _MILLION, milliseconds / 1000)
    return _Entry(matched["day"], matched["run"], matched["flow"], spent)


def _named(spent: Spent) -> str:
    return f"{spent.steps}-{spent.tokens}-{round(spent.cost_usd * _MILLION)}-{round(spent.seconds * 1000)}"
