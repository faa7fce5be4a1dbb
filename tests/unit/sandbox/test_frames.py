"""The channel's framing: whole frames come through whatever the pieces, and nothing else does."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.sandbox.hands.frames import HEAD, MAX_BODY, PADDING, SYNC, Frames, Header, encode

HEADERS = st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=20), max_size=4)
SENT = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), max_size=5)


def received(frames: Frames, data: bytes, cuts: list[int]) -> list[tuple[Header, bytes]]:
    """Feed data in pieces; the cuts are places in it."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[begin:end] for begin, end in itertools.pairwise(places)]
    return [frame for piece in pieces for frame in frames.feed(piece)]


@given(SENT, st.lists(st.integers(min_value=0), max_size=8))
def test_frames_come_through_in_whatever_pieces(sent: list[tuple[Header, bytes]], cuts: list[int]) -> None:
    assert received(Frames(), b"".join(encode(*each) for each in sent), cuts) == sent


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_frame_with_one_bit_changed_is_never_taken(payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encode({"kind": "out"}, payload))
    at = data.draw(st.integers(min_value=0, max_value=8 * len(frame) - 1))
    frame[at // 8] ^= 1 << at % 8
    taken: list[tuple[Header, bytes]] = []
    with contextlib.suppress(ValueError):
        taken += Frames().feed(bytes(frame))
    assert taken == []


@given(st.integers(min_value=0), SENT)
def test_after_a_sender_that_died_in_a_frame_the_next_one_is_heard(cut: int, sent: list[tuple[Header, bytes]]) -> None:
    half = encode({"kind": "run"}, b"x" * 100)
    half = half[: cut % len(half)]
    frames = Frames()
    after = b"".join(encode(*each) for each in sent)
    lost = False
    try:
        assert list(frames.feed(half + PADDING)) == []
    except ValueError:
        lost = True
    assert lost
    assert frames.skip_to_sync(SYNC + after)
    assert list(frames.feed(b"")) == sent


def test_what_is_no_frame_is_refused() -> None:
    for wrong in (HEAD.pack(MAX_BODY + 1, 0), SYNC, b"\xff" * HEAD.size, encode({})[:8] + b"\0" * 100):
        with pytest.raises(ValueError, match="frame"):
            list(Frames().feed(wrong))
