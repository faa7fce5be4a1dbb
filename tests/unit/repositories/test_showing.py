"""What a model wrote, as a person sees it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.repositories.showing import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext ~", "plain\ttext ~"),
        ("Grüße, 日本語 🙂", "Grüße, 日本語 🙂"),
        ("\x1b[2J\x1b[31mred", "<U+001B>[2J<U+001B>[31mred"),
        ("over\rwritten\x08\x7f", "over<U+000D>written<U+0008><U+007F>"),
        ("\u202egnp.exe\u2066\u200f", "<U+202E>gnp.exe<U+2066><U+200F>"),
        ("a\u200bb\u2060\ufeff\u00ad", "a<U+200B>b<U+2060><U+FEFF><U+00AD>"),
        ("a\u00a0b\u3000c\u2028d", "a<U+00A0>b<U+3000>c<U+2028>d"),
        ("\u3164\u2800\u115f", "<U+3164><U+2800><U+115F>"),
        ("x\ufe01\U000e0101\U000e0041", "x<U+FE01><U+E0101><U+E0041>"),
        ("\x9b31m\udc80", "<U+009B>31m<U+DC80>"),
    ],
)
def test_nothing_hides(text: str, shown: str):
    assert visible(text) == shown


@settings(max_examples=40)
@given(st.text())
def test_what_is_visible_stays_as_it_is(text: str):
    once = visible(text)
    assert visible(once) == once
    assert once.replace("\t", " ").isprintable()
