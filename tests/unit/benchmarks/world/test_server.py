"""The world takes one job after the other, and says what is wrong with one that it cannot play."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from benchmarks.contract import Fault
from benchmarks.world.tools import specs
from tests.unit.benchmarks.world.playing import DEADLINE_SECONDS, LOOK, Playing, item, opening, served, until


def test_the_first_job_may_come_with_the_start(tmp_path: Path) -> None:
    job = {"items": [item("a").model_dump(mode="json")], "plan": {"name": "none", "seed": 0}}
    with served(tmp_path, json.dumps(job)) as world:
        world.ask(opening("a"))
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 3


def test_without_a_job_it_says_so(tmp_path: Path) -> None:
    with served(tmp_path) as world:
        answer = httpx.post(f"{world.url}/v1/chat/completions", json={}, timeout=DEADLINE_SECONDS)
    assert (answer.status_code, answer.json()["error"]) == (409, "the world has no job yet: PUT /world/job")


def test_a_job_takes_the_place_of_the_one_before(world: Playing) -> None:
    world.play([item("a", LOOK)])
    world.ask(opening("a"))
    world.call("a", LOOK)
    world.play([item("a", LOOK)])
    assert world.lines() == []
    world.ask(opening("a"))
    assert [line.attempt for line in world.lines()] == [1, 1, 1]


def test_what_is_under_way_of_an_earlier_job_stays_in_its_ledger(world: Playing) -> None:
    world.play([item("a", LOOK)], [Fault(item="a", kind="call", step=0, what="slow", seconds=1)])
    world.ask(opening("a"))
    earlier = world.lines
    with httpx.Client(timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{world.url}/shop/a/order_lookup", json=LOOK.arguments)
    before = world._ledger  # pyright: ignore[reportPrivateUsage]
    world.play([item("a", LOOK)])
    until(lambda: b'"finished"' in before.read_bytes().splitlines()[-1], "the call was not done")
    assert earlier() == []


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"items": [], "plan": {}}, "name"),
        ({"items": [], "plan": {"name": "x", "seed": 0}, "whatever": 1}, "whatever"),
        ({"items": [], "plan": {"name": "x", "seed": 0}, "ledger": "../x"}, "ledger"),
    ],
)
def test_a_job_of_another_form_is_refused(world: Playing, job: dict[str, object], says: str) -> None:
    answer = httpx.put(f"{world.url}/world/job", json=job, timeout=DEADLINE_SECONDS)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_a_job_that_cannot_be_played_is_refused_and_the_one_before_goes_on(world: Playing) -> None:
    world.play([item("a")])
    twice = [item("b").model_dump(mode="json")] * 2
    bad_records = [item("b", records={"users": {}}).model_dump(mode="json")]
    plan = {"name": "x", "seed": 0}
    for items, ledger, says in ((twice, "x1", "one id"), (bad_records, "x2", "lack"), ([], "0.jsonl", "already")):
        job = {"items": items, "plan": plan, "ledger": ledger}
        answer = httpx.put(f"{world.url}/world/job", json=job, timeout=DEADLINE_SECONDS)
        assert answer.status_code == 400
        assert says in answer.json()["error"]
    world.ask(opening("a"))
    assert world.events() == ["started", "first_token", "finished"]


@pytest.mark.parametrize("path", ["/shop/tools.json", "/shop/some-item/tools.json"])
def test_it_tells_its_tools(world: Playing, path: str) -> None:
    assert httpx.get(f"{world.url}{path}", timeout=DEADLINE_SECONDS).json() == specs()
