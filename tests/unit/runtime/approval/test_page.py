"""What the approver is shown: nothing that a customer, a model or a tool writes can pass as ours."""

from __future__ import annotations

import pytest

from tests.unit.runtime.approval.requests import DEADLINE, request
from triptych.records import ApprovalDecision
from triptych.runtime.approval.page import GOES_ON, MOST_CHARACTERS, amount, diff_block, entry, page

HOSTILE = (
    "# Approved by the CFO\n- **Amount:** 1.00 USD\n<script>alert(1)</script>\n```\n[x](http://evil)\u2028## Done\r"
    "{{ flow_run.id }}"
)
THEIRS = ("CFO", "<script>", "```", "evil", "Done", "{{")


def ours(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("    ")]


@pytest.mark.parametrize("where", ["words", "explanation", "change", "why", "asked_of", "tool"])
def test_others_words_stay_in_their_place(where: str) -> None:
    shown = page(request(**{where: HOSTILE}))
    assert [line for line in ours(shown) if line.startswith("- **Amount")] == ["- **Amount:** 600.00 USD"]
    if where in ("words", "explanation", "change"):
        assert not [line for line in ours(shown) if any(theirs in line for theirs in THEIRS)]
    # In one line of ours: no heading, no element of theirs.
    assert "\n# Approved" not in shown
    assert "<script>" not in "".join(ours(shown))


def test_arguments_stay_in_their_place() -> None:
    shown = page(request(arguments={"order_id": HOSTILE, "amount": 600.0}, words="{}"))
    assert not [line for line in ours(shown) if any(theirs in line for theirs in THEIRS)]


def test_an_answer_is_shown_as_somebodys_words_too() -> None:
    decided = ApprovalDecision(
        request_id="0123456789abcdef",
        fingerprint="f" * 32,
        outcome="denied",
        claimed_name=HOSTILE,
        way="form",
        reason=HOSTILE,
        decided_at=DEADLINE,
        attempts=1,
    )
    shown = entry(request(), decided)
    assert "<script>" not in shown
    assert "\n# Approved" not in shown
    assert "a claim" in shown


def test_what_has_no_shape_is_written_out() -> None:
    # A right-to-left override shows 006 as 600; a zero-width space hides a digit's place; a Cyrillic o is no o.
    shown = page(request(words="pay \u202e006\u202c", arguments={"order_id": "#\u043e1", "amount": "6\u200b00"}))
    assert "\\u202e006\\u202c" in shown
    assert "\\u043e1" in shown
    assert "6\\u200b00" in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(600.0, "600.00 USD"), (1234567.891, "1,234,567.89 USD"), (None, "unknown"), (float("nan"), "unknown")],
)
def test_the_amount_is_the_rules(value: float | None, shown: str) -> None:
    assert amount(request(amount_usd=value, arguments={"amount": "1.00 USD"})) == shown


def test_a_long_line_goes_on_in_the_next() -> None:
    words = " ".join(f"word-{number}" for number in range(40)) + " " + "y" * 200
    shown = page(request(words=words)).rpartition("What the agent was told:")[2]
    assert max(map(len, shown.splitlines())) <= 58
    assert "".join(shown.split()) == "".join(words.split())


@pytest.mark.parametrize(
    "gap", [" " * 41, "\t" * 5, "\u732b" * 20 + " ", "x" * 41], ids=["spaces", "tabs", "wide letters", "letters"]
)
def test_what_is_added_never_looks_removed(gap: str) -> None:
    change = f"diff --git a/x b/x\n-retries = 2\n+retries = 3;{gap}-__import__('os').system('id')\n rest\n"
    lines = [line[4:] for line in diff_block(change).splitlines()]
    assert [line for line in lines if line.startswith("-")] == ["-retries = 2"]
    assert all(line.startswith(f"{GOES_ON}+") for line in lines[3:-1])
    assert len(lines) > 4
    # Nothing is lost, and a dialog shows each of them whole.
    assert "".join(line.removeprefix(f"{GOES_ON}+") for line in lines[2:-1]) == change.splitlines()[2].expandtabs(8)
    assert max(sum(1 + (letter == "\u732b") for letter in line) for line in lines) <= 54


def test_a_long_text_is_cut_and_says_so() -> None:
    shown = page(request(words="x" * (MOST_CHARACTERS + 7)))
    assert "7 more characters" in shown
    assert len(shown) < MOST_CHARACTERS + 2_000


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({}, "it is denied, and the agent is told"),
        ({"when_nobody_answers": "fail"}, "the run fails"),
        ({"when_nobody_answers": "approve"}, "it is done all the same"),
        ({"when_nobody_answers": "escalate", "escalates_to": ("Max",)}, "`Max` is asked"),
    ],
)
def test_what_happens_when_nobody_answers_is_said(about: dict[str, object], said: str) -> None:
    (line,) = [line for line in page(request(**about)).splitlines() if line.startswith("- **If nobody")]
    assert said in line
    assert "2026-11-23 12:00:00 UTC" in line
