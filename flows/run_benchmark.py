"""Measure what each architecture costs and saves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from benchmarks.deployed import measure
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug


@flow(name="run-benchmark", persist_result=True, result_storage=store_slug(), result_serializer=PLAIN_JSON)
async def run_benchmark(
    profile: Literal["smoke", "full"] = "smoke",
    arms: list[str] | None = None,
    seed: Annotated[int, Field(ge=0)] = 1,
) -> State[dict[str, Any]]:
    """Run the architectures benchmark on this machine, and put its tables on the run's page.

    Args:
        profile: `smoke` takes five minutes, `full` some hours.
        arms: Which architectures; None or an empty list: those of the profile.
        seed: Of items and fault plans; 0 or more.

    Returns:
        The `BenchmarkReport`, as plain JSON in the checkpoint store.
    """
    return await ended(await measure(profile, arms or [], seed))
