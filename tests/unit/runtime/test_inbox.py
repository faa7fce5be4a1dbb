"""Reading an inbox: what is a ticket, and where what is none stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import ConfigurationError
from triptych.runtime.inbox import read_inbox


def ticket(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "instruction": "Please help.", **more}


def test_lines_and_lists_and_single_tickets_are_read_in_the_order_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(ticket(name)) for name in ("b1", "b2")))
    (tmp_path / "a.json").write_text(json.dumps([ticket("a1"), ticket("a2")]))
    (tmp_path / "c.json").write_text(json.dumps(ticket("c1")))
    (tmp_path / "README.md").write_text("not a ticket")
    inbox = read_inbox(tmp_path)
    assert [each.id for each in inbox.tickets] == ["a1", "a2", "b1", "b2", "c1"]
    assert not inbox.problems


def test_a_bad_line_is_reported_with_its_number_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl"
    lines = [json.dumps(ticket("one")), "{not json", "", json.dumps({"id": "x"}), json.dumps(ticket("one")), "[]"]
    file.write_text("\n".join([*lines, json.dumps(ticket("two"))]))
    inbox = read_inbox(file)
    assert [each.id for each in inbox.tickets] == ["one", "two"]
    problems = [(problem.source, problem.line) for problem in inbox.problems]
    assert problems == [("tickets.jsonl", 2), ("tickets.jsonl", 4), ("tickets.jsonl", 5), ("tickets.jsonl", 6)]
    assert "instruction" in inbox.problems[1].reason
    assert "already that of tickets.jsonl:1" in inbox.problems[2].reason


def test_a_bad_entry_of_a_list_is_reported_with_the_line_it_begins_on(tmp_path: Path) -> None:
    file = tmp_path / "tickets.json"
    file.write_text('[\n {"id": "one", "instruction": "a [ and a , in it"},\n\n {"id": ""}\n]')
    inbox = read_inbox(file)
    assert [each.id for each in inbox.tickets] == ["one"]
    assert [problem.line for problem in inbox.problems] == [4]


def test_a_file_that_is_no_json_is_one_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": "one",\n oops}')
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    inbox = read_inbox(tmp_path)
    assert not inbox.tickets
    assert [(problem.source, problem.line) for problem in inbox.problems] == [("a.json", 2), ("b.json", None)]


@given(entries=st.lists(st.fixed_dictionaries({"id": st.text(min_size=1), "instruction": st.text(min_size=1)})))
def test_every_entry_of_a_list_has_a_line(
    entries: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("inbox") / "tickets.json"
    file.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    inbox = read_inbox(file)
    assert len(inbox.tickets) == len({entry["id"] for entry in entries})
    assert len(inbox.tickets) + len(inbox.problems) == len(entries)


@pytest.mark.parametrize(
    "bad",
    [
        '{"id": "x", "instruction": "a", "actions": [{"name": "n", "arguments": {"amount": NaN}}]}',
        '{"id": "x", "instruction": "a", "actions": [{"name": "n", "arguments": {"text": "\\ud800"}}]}',
        '{"id": "x", "instruction": "a", "actions": [{"name": "n", "arguments": {"a": [{"__prefect_kind": 1}]}}]}',
        '{"id": "x", "instruction": "' + "a" * 700_000 + '"}',
        "[" * 100_000,
    ],
    ids=["nan", "surrogate", "template", "huge", "deep"],
)
def test_a_hostile_ticket_stops_nobody(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "tickets.jsonl"
    # A separator that Python counts as the end of a line, and JSON does not.
    good = json.dumps(ticket("good", user_id="one\u2028two"), ensure_ascii=False)
    file.write_text(f"{good}\n{bad}\n{json.dumps(ticket('also'))}", encoding="utf-8-sig")
    inbox = read_inbox(file)
    assert [each.id for each in inbox.tickets] == ["good", "also"]
    assert [problem.line for problem in inbox.problems] == [2]
    assert len(inbox.problems[0].reason) < 300


@pytest.mark.parametrize("name", ["nothing.jsonl", "notes.txt"])
def test_what_is_no_inbox_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigurationError, match=name):
        read_inbox(tmp_path / name)
