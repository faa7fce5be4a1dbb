"""The calculator gives what Python would, to two decimals, and nothing but arithmetic gets through."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.loop.tools.arithmetic import MAX_CHARACTERS, calculate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 2", "4.0"),
        ("  1 - 2*3 ", "-5.0"),
        ("(1 - 2) * -3", "3.0"),
        ("+.5 / 2.", "0.25"),
        ("10 / 3", "3.33"),
        ("3131.1 + 4777.75 + 367.38", "8276.23"),
        ("+".join("1" * 250), "250.0"),
        ("-" * 400 + "1", "1.0"),
        ("(" * 100 + "1" + ")" * 100, "1.0"),
    ],
)
def test_arithmetic(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "invalid expression"),
        ("1 +", "invalid expression"),
        ("()", "invalid expression"),
        ("1 2", "invalid expression"),
        ("2(3)", "invalid expression"),
        ("2 ** 3", "invalid expression"),
        ("7 // 2", "invalid expression"),
        ("...", "invalid expression"),
        ("007", "invalid expression"),
        ("(" * 250 + "1" + ")" * 249, "invalid expression"),
        ("1 / 0", "division by zero"),
        ("9" * 400, "number too large"),
        ("9" * 400 + ".0", "number too large"),
        ("9" * 240 + "." + "*" + "9" * 240 + ".", "number too large"),
        ("__import__('os')", "invalid characters in expression"),
        ("1e3", "invalid characters in expression"),
        ("1\n+1", "invalid characters in expression"),
        ("\u0661 + 1", "invalid characters in expression"),
        ("1" * (MAX_CHARACTERS + 1), f"expression is longer than {MAX_CHARACTERS} characters"),
    ],
)
def test_what_is_refused(expression: str, reason: str) -> None:
    assert calculate(expression) == f"Error: {reason}"


_NUMBERS = st.one_of(st.integers(0, 10**6).map(str), st.decimals(0, 10**4, places=2).map(str))
_EXPRESSIONS = st.recursive(
    _NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join),
        inner.map(lambda each: f"({each})"),
        inner.map(lambda each: f"-{each}"),
    ),
    max_leaves=12,
)


@given(expression=_EXPRESSIONS)
def test_it_agrees_with_python(expression: str) -> None:
    try:
        expected = str(round(float(eval(expression)), 2))
    except ZeroDivisionError:
        expected = "Error: division by zero"
    assert calculate(expression) == expected


@given(expression=st.text(alphabet="0123456789+-*/(). ", max_size=MAX_CHARACTERS))
def test_any_allowed_text_is_answered_at_once(expression: str) -> None:
    started = time.process_time()
    answer = calculate(expression)
    assert time.process_time() - started < 1
    assert answer.startswith("Error: ") or float(answer) is not None


@given(expression=st.text())
def test_any_text_at_all_is_answered(expression: str) -> None:
    assert isinstance(calculate(expression), str)
