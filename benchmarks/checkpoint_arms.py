"""The arms of the checkpoints benchmark: the same agent bare, and durable on each store.

Imports Prefect, so it is imported once the benchmark's own server is settled.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, cast

from prefect import flow
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.toolsets import FunctionToolset

from benchmarks.job import Job
from benchmarks.object_store import BUCKET
from triptych.loop.limits import Limits
from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.records import PlannedCall
from triptych.runtime.durability import Durability
from triptych.runtime.results import PLAIN_JSON
from triptych.runtime.store import CheckpointStore

RESULT = "x" * 500


def look(number: int) -> str:
    """Look up a small record."""
    return f"{number}: {RESULT}"


def _agent(steps: int, *, durable: bool) -> Agent[None, str]:
    turns = tuple(Turn(calls=(PlannedCall(name="look", arguments={"number": n}),)) for n in range(steps))
    return Agent(
        ScriptedModel(Plan(turns=turns, final="done")),
        name="bench",
        instructions="Look everything up.",
        toolsets=[FunctionToolset([look], id="bench")],
        capabilities=[Durability()] if durable else [],
    )


async def _run(steps: int, *, durable: bool) -> float:
    """Run the agent once in the current flow; returns the seconds that took."""
    agent = _agent(steps, durable=durable)
    limits = Limits(steps=steps + 1, tokens=10**9, cost_usd=None).usage_limits()
    began = time.perf_counter()
    await agent.run("Go.", usage_limits=limits)
    return time.perf_counter() - began


async def measure(job: Job) -> list[dict[str, Any]]:
    """Run every arm at every length once a round, in turn; the first round warms up and is not counted.

    Returns:
        A row a run, as `benchmarks.checkpoints.summary` takes them.
    """
    places = {"folder": job.folder / "store"}
    places["folder"].mkdir()
    stores = {"folder": CheckpointStore(location=str(places["folder"]))}
    if job.s3 is not None:
        places["s3"] = job.folder / "bucket" / BUCKET
        stores["s3"] = CheckpointStore(
            location=f"s3://{BUCKET}/store",
            endpoint_url=job.s3.endpoint_url,
            key=job.s3.key,
            secret=SecretStr(job.s3.secret),
        )
    flows: dict[str, Any] = {name: await _flow(name, store) for name, store in stores.items()}
    database = job.folder / "home" / "prefect"
    rows: list[dict[str, Any]] = []
    for number in range(job.rounds + 1):
        for steps in job.lengths:
            for name in [None, *stores]:
                place = places[name] if name else None
                before = (_size(place), _size(database))
                seconds = await flows[name or "folder"](steps, name is not None)
                rows.append(
                    {
                        "round": number,
                        "arm": "bare" if name is None else "durable",
                        "store": name or "none",
                        "steps": steps,
                        "seconds": seconds,
                        "stored_bytes": _size(place) - before[0],
                        "database_bytes": _size(database) - before[1],
                    }
                )
    return [row for row in rows if row["round"] > 0]


async def _flow(name: str, store: CheckpointStore) -> Any:
    await cast(Any, store.save(name, overwrite=True))

    @flow(name=f"bench-{name}", persist_result=True, result_storage=store, result_serializer=PLAIN_JSON)
    async def one(steps: int, durable: bool) -> float:
        return await _run(steps, durable=durable)

    return one


def _size(folder: Path | None) -> int:
    if folder is None:
        return 0
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Job.model_validate_json(sys.stdin.read())))))
