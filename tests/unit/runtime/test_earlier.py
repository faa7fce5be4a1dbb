"""A store that holds nothing of the run is not believed: a disk that is not mounted looks like an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.durable_runs import DurableRuns, calls, durable_agent
from triptych.errors import CheckpointStoreUnavailable
from triptych.loop.models import Plan
from triptych.runtime.earlier import lost_steps


class Crash(Exception):
    """What ends an execution."""


@pytest.fixture
def dying() -> list[str]:
    """Where the executions to come die."""
    return []


def two_agents(runs: DurableRuns, dying: list[str]) -> Any:
    def die_of(reason: str) -> None:
        if reason in dying:
            raise Crash

    async def body() -> list[str]:
        agent = durable_agent(runs.model(Plan(final="done")))
        die_of("before the first step")
        first = await agent.run("One.")
        die_of("between two agents")
        return [first.output, (await agent.run("Two.")).output]

    return body


async def test_an_emptied_store_stops_the_run_and_its_return_lets_it_go_on(runs: DurableRuns, dying: list[str]) -> None:
    body = two_agents(runs, dying)
    dying.append("between two agents")
    first = await runs.execute(body)
    assert isinstance(first.error, Crash)
    dying.clear()
    folder = Path(runs.store.location)
    mounted = folder.rename(folder.with_name("mounted"))
    folder.mkdir()

    lost = await runs.execute(body, first.flow_run_id)
    assert isinstance(lost.error, CheckpointStoreUnavailable)
    assert "disk mounted" in str(lost.error)
    assert runs.asked == ["request:1"]
    assert await lost_steps(runs.store, str(first.flow_run_id)) == 1

    # What Prefect wrote there meanwhile does not count: it is no checkpoint.
    for each in folder.rglob("*"):
        assert "checkpoints" not in each.parts
    folder.rename(folder.with_name("empty"))
    mounted.rename(folder)
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == ["done", "done"]
    assert len(runs.asked) == 2
    assert await lost_steps(runs.store, str(first.flow_run_id)) == 0


async def test_a_run_that_died_before_its_first_step_begins_anew(runs: DurableRuns, dying: list[str]) -> None:
    body = two_agents(runs, dying)
    dying.append("before the first step")
    first = await runs.execute(body)
    assert isinstance(first.error, Crash)
    dying.clear()
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == ["done", "done"]


async def test_a_store_that_is_not_there_is_found_out_before_anything_is_paid(runs: DurableRuns) -> None:
    async def body() -> str:
        Path(runs.store.location).rename(runs.folder / "away")
        return (await durable_agent(runs.model(Plan(final="done"))).run("One.")).output

    ended = await runs.execute(body)
    assert isinstance(ended.error, CheckpointStoreUnavailable)
    assert runs.asked == []


async def test_a_store_that_holds_only_a_part_is_not_believed_until_a_person_says_so(runs: DurableRuns) -> None:
    calm = False

    def look() -> str:
        return "found"

    async def body() -> str:
        plan = Plan(turns=(calls(("look", {})),), final="done")
        result = await durable_agent(runs.model(plan), look).run("Look.")
        if not calm:
            raise Crash
        return result.output

    first = await runs.execute(body)
    assert isinstance(first.error, Crash)
    calm = True
    *_, last = await runs.checkpoints(first.flow_run_id)
    await runs.store.remove(last)
    lost = await runs.execute(body, first.flow_run_id)
    assert isinstance(lost.error, CheckpointStoreUnavailable)
    assert runs.asked == ["request:1", "request:2"]
    await runs.let_lost_steps_be_done_again(first.flow_run_id)
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == "done"
    assert runs.asked == ["request:1", "request:2", "request:2"]
