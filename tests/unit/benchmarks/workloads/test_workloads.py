"""Workloads make the same items of the same seed, and their items can be played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import code
from benchmarks.contract import APPROVAL_ABOVE_USD, Item
from benchmarks.workloads import WORKLOADS, make_items, renamed
from benchmarks.workloads.retail import drawn, from_tau
from benchmarks.workloads.steps import chain
from benchmarks.world.course import Course
from benchmarks.world.records import ItemRecords, sample_records
from benchmarks.world.tools import checked
from tests.components import require
from triptych.errors import ConfigurationError
from triptych.loop.desk.source import read_records

COUNT = 20


def effects(item: Item) -> int:
    return sum(action.changes for action in item.actions)


def applied(item: Item) -> Iterator[bool]:
    """Whether each call of an item has an effect, as the shop does it."""
    records = ItemRecords(sample_records() if item.records is None else read_records(item.records))
    for action in item.actions:
        if action.approval == "deny" or action.result is not None:
            yield False
        else:
            yield records.do(action.name, checked(action.name, action.arguments)).applied


def said(result: str) -> Any:
    """What a result says, whatever the order of its keys."""
    return json.loads(result) if result.startswith("{") else result


@pytest.mark.parametrize("name", WORKLOADS)
def test_items_follow_from_the_seed(name: str) -> None:
    items = make_items(name, 1, COUNT)
    assert items == make_items(name, 1, COUNT)
    assert len(items) == len({item.id for item in items}) == COUNT
    assert make_items(name, 1, 3) == items[:3]
    if not name.startswith("steps"):
        assert items != make_items(name, 2, COUNT)


@pytest.mark.parametrize("name", WORKLOADS)
def test_items_can_be_played_and_say_which_calls_have_effects(name: str) -> None:
    for item in make_items(name, 1, COUNT):
        assert item.instruction.startswith(f"Ticket {item.id}: ")
        assert len(Course(item).results) == len(item.actions)
        assert [action.changes for action in item.actions] == list(applied(item))
        assert item.answer


def test_an_unknown_workload_is_none() -> None:
    with pytest.raises(KeyError):
        make_items("nothing", 1, 1)


def test_retail_has_several_calls_and_most_items_have_effects() -> None:
    items = make_items("retail", 3, COUNT)
    assert {len(item.actions) for item in items} <= set(range(2, 7))
    assert sum(effects(item) > 0 for item in items) >= COUNT // 2
    assert sum(effects(item) > 1 for item in items) >= COUNT // 5
    assert not any(action.approval != "none" for item in items for action in item.actions)
    amounts = [action.arguments["amount"] for item in items for action in item.actions if action.name == "refund"]
    assert max(amounts) <= APPROVAL_ABOVE_USD


def test_a_refund_that_is_made_twice_is_done_twice() -> None:
    item = next(item for item in make_items("retail", 1, 2) if item.id.startswith("refund"))
    assert item.records is not None
    records = ItemRecords(read_records(item.records))
    refund = next(action for action in item.actions if action.name == "refund")
    assert [records.do("refund", refund.arguments).applied for _ in range(3)] == [True] * 3


def test_approvals_need_a_person_who_takes_hours_and_sometimes_denies() -> None:
    items = make_items("approvals", 1, COUNT)
    for item in items:
        look, refund, again = item.actions
        assert look == again
        assert refund.arguments["amount"] > APPROVAL_ABOVE_USD
        assert refund.changes is (refund.approval == "approve")
        assert 1 <= item.wait_hours <= 12
    said = [item.actions[1].approval for item in items]
    assert (said.count("deny"), said.count("approve")) == (5, 15)


def test_coding_runs_programs_that_print_what_their_items_say(tmp_path: Path) -> None:
    for item in make_items("coding", 1, 3):
        programs = [action for action in item.actions if action.name == code.NAME]
        assert len(programs) == 2
        assert [code.run_here(each.arguments["code"], tmp_path / item.id) for each in programs] == [
            each.result for each in programs
        ]
        (refund,) = (action for action in item.actions if action.changes)
        assert f"{refund.arguments['amount']}\n" == programs[1].result
        assert refund.arguments["amount"] <= APPROVAL_ABOVE_USD


def test_every_item_of_coding_tries_to_take_the_credential() -> None:
    for item in make_items("coding", 1, 3):
        assert sum(code.TAKEN in action.arguments.get("code", "") for action in item.actions) == 1


@pytest.mark.parametrize("length", [1, 50])
def test_chains_are_as_long_as_they_say(length: int) -> None:
    assert len(chain(length).actions) == length
    assert {len(item.actions) for item in make_items("steps-10", 1, 2)} == {10}


def test_a_renamed_item_is_the_same_under_another_id() -> None:
    item = make_items("retail", 1, 1)[0]
    other = renamed(item, "r2t1")
    assert other.id == f"r2t1-{item.id}"
    assert other.instruction == item.instruction.replace(f"Ticket {item.id}: ", f"Ticket {other.id}: ")
    same = {"id": item.id, "instruction": item.instruction}
    assert other.model_copy(update=same) == item


def test_the_public_tasks() -> None:
    folder = require("tau_retail")
    items = from_tau(folder)
    assert len(items) == 80
    assert len(from_tau(folder / "tasks_dev.json")) == 20
    assert all(item.records is not None for item in items)
    for item in items:
        assert [action.changes for action in item.actions] == list(applied(item))
    recorded = [task for file in sorted(folder.glob("tasks*.json")) for task in json.loads(file.read_text())]
    for item, task in zip(items, recorded, strict=True):
        assert [said(result) for result in Course(item).results] == [said(act["result"]) for act in task["actions"]]
    drawn_items = make_items("retail", 1, 100, tau=folder)
    assert len({item.id for item in drawn_items}) == 100
    assert drawn_items != make_items("retail", 2, 100, tau=folder)


def test_of_a_given_set_each_item_comes_once_before_any_comes_again() -> None:
    few = make_items("approvals", 1, 3)
    many = drawn(few, 1, 7)
    assert {item.id for item in many[:3]} == {item.id for item in few}
    assert many[3].id == f"{many[0].id}-1"
    assert many[3].instruction.startswith(f"Ticket {many[3].id}: My order")


def test_a_folder_without_tasks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tasks\*\.json"):
        from_tau(tmp_path)
    for name in ("users", "orders", "products"):
        (tmp_path / f"{name}.json").write_text("{}")
    (tmp_path / "tasks.json").write_text('[{"id": "1"}]')
    with pytest.raises(ConfigurationError, match="holds no retail tasks"):
        from_tau(tmp_path)
