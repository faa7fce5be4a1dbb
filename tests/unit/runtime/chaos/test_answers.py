"""The person's file says what was sent, and what became of it."""

from __future__ import annotations

from pathlib import Path

from triptych.runtime.chaos.answers import Answer, read, unsettled, write

ASKED = Answer(
    event="sent",
    flow_run_id="r",
    request_id="q",
    pause_key="approval-q-1",
    fingerprint="f",
    arguments={"order_id": "#C0001", "amount": 600.5},
    approve=True,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "answers"
    assert read(file) == []
    written = [ASKED, ASKED.then("taken")]
    for each in written:
        write(file, each)
    assert read(file) == written


def test_what_was_sent_is_unsettled_until_it_was_taken_or_lost() -> None:
    again = ASKED.model_copy(update={"pause_key": "approval-q-2"})
    assert unsettled([ASKED, ASKED]) == [ASKED]
    assert unsettled([ASKED, ASKED.then("lost"), again]) == [again]
    assert unsettled([ASKED, ASKED.then("taken")]) == []
