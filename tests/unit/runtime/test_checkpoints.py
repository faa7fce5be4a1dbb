"""Checkpoints as bytes: what was written comes back whole or not at all, at a key of its own."""

from __future__ import annotations

import posixpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import CheckpointTorn
from triptych.records import Checkpoint, InputDigest, StepInputs
from triptych.runtime.checkpoints import decode, encode, plain_name, step_name
from triptych.runtime.journal import Scope

texts = st.text()
digests = st.builds(InputDigest, name=texts, digest=texts)
step_inputs = st.builds(
    StepInputs,
    previous=texts,
    static=texts,
    static_parts=st.none() | st.lists(digests, max_size=3).map(tuple),
    added=st.lists(digests, max_size=3).map(tuple),
    digest=texts,
)


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[Checkpoint, bytes]:
    payload = draw(st.binary())
    fields: dict[str, Any] = {
        "inputs": draw(step_inputs),
        "payload_bytes": len(payload),
        "seconds": draw(st.floats(min_value=0, allow_nan=False, allow_infinity=False)),
    }
    return draw(st.builds(Checkpoint, schema_version=st.just(1), **{k: st.just(v) for k, v in fields.items()})), payload


@given(checkpoints())
def test_a_checkpoint_comes_back_as_it_was(written: tuple[Checkpoint, bytes]) -> None:
    checkpoint, payload = written
    assert decode(checkpoint.key, encode(checkpoint, payload)) == (checkpoint, payload)


@given(checkpoints(), st.data())
def test_any_truncation_is_torn(written: tuple[Checkpoint, bytes], data: st.DataObject) -> None:
    checkpoint, payload = written
    content = encode(checkpoint, payload)
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(CheckpointTorn) as caught:
        decode(checkpoint.key, content[:length])
    assert checkpoint.key in str(caught.value)


@given(checkpoints(), st.data())
def test_a_flipped_bit_is_torn(written: tuple[Checkpoint, bytes], data: st.DataObject) -> None:
    checkpoint, payload = written
    content = bytearray(encode(checkpoint, payload))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CheckpointTorn):
        decode(checkpoint.key, bytes(content))


@given(checkpoints(), st.binary(min_size=1))
def test_more_bytes_than_were_written_are_torn(written: tuple[Checkpoint, bytes], more: bytes) -> None:
    checkpoint, payload = written
    with pytest.raises(CheckpointTorn):
        decode(checkpoint.key, encode(checkpoint, payload) + more)


@given(checkpoints(), texts)
def test_a_checkpoint_of_another_key_is_torn(written: tuple[Checkpoint, bytes], other: str) -> None:
    checkpoint, payload = written
    if other != checkpoint.key:
        with pytest.raises(CheckpointTorn):
            decode(other, encode(checkpoint, payload))


@given(st.binary())
def test_anything_else_is_torn(content: bytes) -> None:
    with pytest.raises(CheckpointTorn):
        decode("a", content)


hostile = st.text() | st.sampled_from(
    [
        "",
        ".",
        "..",
        "/",
        "../..",
        "a/b",
        "a\\b",
        "a\0b",
        "a b",
        "a-0",
        "0001",
        "x" * 500,
        "ü",
        "\ud800",
        "-",
        "~",
        "a.json",
    ]
)
steps = st.tuples(st.uuids().map(str), hostile, st.integers(1, 99_999), hostile, st.none() | hostile)


def key_of(step: tuple[str, str, int, str, str | None]) -> str:
    flow_run_id, agent, sequence, operation, tool_call_id = step
    return step_name(flow_run_id, Scope().next_path(agent), sequence, operation, tool_call_id)


@given(st.lists(steps, min_size=2, max_size=6, unique=True))
def test_different_steps_have_different_keys(several: list[tuple[str, str, int, str, str | None]]) -> None:
    assert len({key_of(step) for step in several}) == len(several)


@given(st.uuids().map(str), hostile, hostile, st.lists(hostile, min_size=2, max_size=5, unique=True))
def test_parallel_calls_of_one_tool_have_keys_of_their_own(run: str, agent: str, tool: str, ids: list[str]) -> None:
    assert len({key_of((run, agent, 1, f"tool-{tool}", each)) for each in ids}) == len(ids)


@given(steps)
def test_a_key_is_stable_and_safe_in_any_store(step: tuple[str, str, int, str, str | None]) -> None:
    key = key_of(step)
    assert key == key_of(step)
    assert posixpath.normpath(key) == key
    assert key.isascii()
    assert key.isprintable()
    parts = key.split("/")
    assert parts[:2] == ["checkpoints", step[0]]
    assert len(parts) == 4
    assert all(0 < len(part) <= 200 and part not in (".", "..") and " " not in part for part in parts)


@given(st.lists(hostile, min_size=1, max_size=8))
def test_agent_runs_of_one_place_have_paths_of_their_own(agents: list[str]) -> None:
    scope, again = Scope(), Scope()
    paths = [scope.next_path(agent) for agent in agents]
    assert len(set(paths)) == len(paths)
    assert paths == [again.next_path(agent) for agent in agents]
    inner = Scope(path=paths[0])
    assert not {inner.next_path(agent) for agent in agents} & set(paths)


def test_a_name_that_looks_cleaned_is_not_mistaken_for_one() -> None:
    assert plain_name("a b") != plain_name(plain_name("a b"))
