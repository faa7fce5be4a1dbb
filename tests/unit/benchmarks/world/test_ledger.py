"""The ledger has a whole line for each thing that was seen, and no trial writes into another's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks.contract import LedgerLine
from benchmarks.world.ledger import Ledger


def test_lines_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    before = time.time()
    ledger.write(item="a", kind="request", step=0, attempt=1, event="started", version="2", wrong=(1,))
    ledger.write(item="a", kind="call", step=0, attempt=1, event="killed", fault="kill/done", key="k", pid=3)
    data = (tmp_path / "ledger.jsonl").read_bytes()
    assert data.endswith(b"\n")
    first, second = [LedgerLine.model_validate_json(line) for line in data.splitlines()]
    assert before <= first.at <= second.at <= time.time()
    assert (first.version, first.wrong, first.key) == ("2", (1,), None)
    assert (second.fault, second.key, second.pid) == ("kill/done", "k", 3)


def test_what_is_no_line_is_not_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(ValidationError):
        ledger.write(item="a", kind="request", step=0, attempt=1, event="whatever")
    assert (tmp_path / "ledger.jsonl").read_bytes() == b""


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("another trial's\n")
    with pytest.raises(FileExistsError):
        Ledger(tmp_path / "ledger.jsonl")
    assert (tmp_path / "ledger.jsonl").read_text() == "another trial's\n"
