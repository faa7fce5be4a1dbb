"""Markdown shows every text as it is."""

from __future__ import annotations

import pytest

from benchmarks.reporting import markdown
from benchmarks.reporting.document import Bullets, Code, Document, Heading, Paragraph, Picture, Table, section


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("while_loop", "while_loop"),
        ("_so_ and *so*", r"\_so\_ and \*so\*"),
        ("a | b\nc", r"a \| b c"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("[here](http://x)", r"\[here\](http://x)"),
        ("a `b|<c>_` d", r"a `b\|<c>_` d"),
        ("one ` alone", r"one \` alone"),
        (r"C:\n", r"C:\\n"),
    ],
)
def test_a_cell_means_nothing_but_itself(text: str, written: str) -> None:
    assert markdown.inline(text, in_table=True) == written


def test_a_bar_in_code_stays_as_it_is_outside_a_table() -> None:
    assert markdown.inline("`a|b`") == "`a|b`"


def test_a_table() -> None:
    written = markdown.table(Table(("a (ms)", "b"), (("1", "x|y"),)))
    assert written == "| a (ms) | b |\n| --- | --- |\n| 1 | x\\|y |\n"


@pytest.mark.parametrize(
    ("text", "written"), [("- no", r"\- no"), ("# no", r"\# no"), ("1. no", r"1\. no"), ("1.5 ms", r"1\.5 ms")]
)
def test_a_text_begins_no_list(text: str, written: str) -> None:
    document = Document("T", "S", (section("A", Paragraph(text), Bullets((text,))),))
    assert f"\n\n{written}\n\n- {written}\n" in markdown.render(document)


def test_every_kind_of_block_is_written() -> None:
    blocks = (Heading("H"), Code("a ``` b"), Picture("plots/x.png", "X", "It shows."))
    written = markdown.render(Document("T", "S", (section("A", blocks), section("B", Paragraph("p")))))
    assert written.splitlines()[0] == "# T"
    assert (
        "\n## 1. A\n\n### H\n\n````console\na ``` b\n````\n\n![X](plots/x.png)\n\nIt shows.\n\n## 2. B\n\np\n"
        in written
    )
