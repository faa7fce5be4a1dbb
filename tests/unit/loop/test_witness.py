"""The outside witness: what it says has happened, once, whoever wrote it and however they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.loop.witness import Witness, WitnessEvent, read
from triptych.records import WitnessLine

_WRITER = """
import os, signal, sys
from triptych.loop.witness import Witness
witness = Witness(sys.argv[1])
for number in range(int(sys.argv[3])):
    witness.write(event="tool.started", run=sys.argv[2], name="x" * 300, key=str(number))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_created_before_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "witness.jsonl"

    Witness(path)

    assert not path.parent.exists()
    assert read(path) == []


@given(run=st.text(), name=st.text(), key=st.text())
def test_a_line_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, run: str, name: str, key: str
) -> None:
    path = tmp_path_factory.mktemp("witness") / "w.jsonl"

    Witness(path).write(event="effect.applied", run=run, name=name, key=key)

    [line] = read(path)
    assert (line.event, line.run, line.name, line.key, line.pid) == ("effect.applied", run, name, key, os.getpid())


def test_lines_of_several_processes_do_not_mix_and_outlive_a_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), f"run-{n}", "200"]) for n in range(3)]

    assert [writer.wait(60) for writer in writers] == [-signal.SIGKILL] * 3

    lines = read(path)
    for number, writer in enumerate(writers):
        mine = [line for line in lines if line.run == f"run-{number}"]
        assert [line.key for line in mine] == [str(key) for key in range(200)]
        assert {line.pid for line in mine} == {writer.pid}
    assert len(lines) == 600


def test_a_line_that_something_else_wrote_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    path.write_text("{}\n")

    with pytest.raises(ValueError, match="event"):
        read(path)


def test_it_can_say_exactly_what_the_record_knows() -> None:
    assert set(typing.get_args(WitnessEvent)) == set(typing.get_args(WitnessLine.model_fields["event"].annotation))
