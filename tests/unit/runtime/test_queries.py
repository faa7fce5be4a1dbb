"""A run is found by what a person writes: its id, the id's beginning, or its name."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from triptych.errors import ConfigurationError
from triptych.runtime import queries
from triptych.runtime.queries import find_run

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow
def _looked_for() -> None: ...


async def _made(*names: str) -> list[FlowRun]:
    async with get_client() as client:
        return [await client.create_flow_run(_looked_for, name=name) for name in names]


async def _found(text: str) -> UUID:
    async with get_client() as client:
        return (await find_run(client, text)).id


async def test_by_id_and_by_name() -> None:
    first, second = await _made("find me", "find me not")
    assert await _found(str(first.id)) == first.id
    assert await _found(f" {str(second.id).upper()} ") == second.id
    assert await _found("find me") == first.id


async def test_by_the_beginning_of_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    # The runs are on several pages, and of seventeen, two ids begin with the same digit.
    monkeypatch.setattr(queries, "PAGE", 3)
    made = [str(run.id) for run in await _made(*["many"] * 17)]
    for each in made:
        assert await _found(each[:-1].upper()) == UUID(each)
    digit = next(each[0] for number, each in enumerate(made) if each[0] in {one[0] for one in made[:number]})
    with pytest.raises(ConfigurationError, match="begins with") as ambiguous:
        await _found(digit)
    # Some of them, and of the other tests' runs that begin so.
    named = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", str(ambiguous.value))
    assert len(named) >= 2
    assert all(each.startswith(digit) for each in named)


async def test_one_name_of_two_runs_is_nobody() -> None:
    first, second = await _made("twins", "twins")
    with pytest.raises(ConfigurationError, match="have the name 'twins'") as ambiguous:
        await _found("twins")
    assert str(first.id) in str(ambiguous.value)
    assert str(second.id) in str(ambiguous.value)


@pytest.mark.parametrize("text", ["nobody", "ffffffff-ffff", "ffffffff-ffff-4fff-8fff-ffffffffffff", " ", "%", "-"])
async def test_what_is_not_there_is_said_so(text: str) -> None:
    with pytest.raises(ConfigurationError, match="`triptych runs` lists them"):
        await _found(text)
