"""What a command agent prints becomes lines that a log and a terminal can show, in whatever pieces it came."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.sandbox.commands import MAX_LINE_CHARACTERS, Lines


def told(*pieces: bytes) -> list[str]:
    lines: list[str] = []
    taking = Lines(lines.append)
    for piece in pieces:
        taking.feed(piece)
    taking.end()
    assert taking.told == len(lines)
    return lines


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["C"])), cuts=st.lists(st.integers(0, 400)))
def test_the_pieces_do_not_show(text: str, cuts: list[int]) -> None:
    data = "\n".join(text.split(" ")).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert told(*pieces) == told(data)
    assert "\n".join(told(data)) == data.decode().removesuffix("\n")


def test_a_line_is_told_as_soon_as_it_is_whole() -> None:
    lines: list[str] = []
    taking = Lines(lines.append)
    taking.feed(b"one\ntw")
    assert lines == ["one"]
    taking.feed(b"o\r\n")
    assert lines == ["one", "two"]


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://x\x1b\\link", "link"),
        (b"a\x07b\x00c", "a�b�c"),
        (b"10%\r20%", "10%�20%"),
        ("file‮txt.exe".encode(), "file�txt.exe"),
        (b"\x9b31m", "�31m"),
        (b"tab\tstays", "tab\tstays"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_told(printed: bytes, shown: str) -> None:
    assert told(printed) == [shown]


def test_a_line_without_end_is_told_in_pieces() -> None:
    lines = told(b"x" * 10_000, b"y\n")
    assert [len(line) for line in lines] == [MAX_LINE_CHARACTERS, MAX_LINE_CHARACTERS, 2001]
    assert [len(line) for line in told(b"x" * 10_000 + b"\n")] == [MAX_LINE_CHARACTERS, MAX_LINE_CHARACTERS, 2000]
