"""The page holds all it needs, and shows every text as it is."""

from __future__ import annotations

import base64
import re

import pytest

from benchmarks.reporting import page
from benchmarks.reporting.document import Bullets, Code, Document, Heading, Paragraph, Picture, Table, section

PNG = b"\x89PNG and more"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
        ("see https://x.org/a?b=1&c=2.", 'see <a href="https://x.org/a?b=1&amp;c=2">https://x.org/a?b=1&amp;c=2</a>.'),
        ('https://x.org/"><i>', '<a href="https://x.org/">https://x.org/</a>&#34;&gt;&lt;i&gt;'),
        ("<i> `x`", "&lt;i&gt; <code>x</code>"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("195 (190 to 1,201)", '195 <span class="interval">(190 to 1,201)</span>'),
        ("(from a to b)", "(from a to b)"),
    ],
)
def test_a_text_means_nothing_but_itself(text: str, written: str) -> None:
    assert str(page.inline(text)) == written


def whole() -> str:
    evil = "<img src=http://evil.example/x onerror=alert(1)>"
    blocks = (
        Heading(evil),
        Paragraph(evil),
        Bullets((evil,)),
        Code(evil),
        Table((evil,), ((evil,),)),
        Picture("plots/x.png", '" onload="alert(1)', evil),
    )
    return page.render(Document(evil, evil, (section(evil, blocks),)), {"plots/x.png": PNG})


def test_nothing_is_loaded_from_anywhere() -> None:
    text = whole()
    assert re.findall(r'src="([^"]*)"', text) == ["data:image/png;base64," + base64.b64encode(PNG).decode()]
    assert "<img src=http" not in text
    assert not re.search(r"<(script|link|iframe|object)|@import|url\(", text)
    assert "default-src 'none'" in text


def test_a_text_cannot_leave_its_attribute() -> None:
    assert 'alt="&#34; onload=&#34;alert(1)"' in whole()


def test_tables_scroll_in_a_box_and_the_dark_is_cared_for() -> None:
    text = whole()
    assert re.search(r'<div class="scroll" tabindex="0">\s*<table>', text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport" content="width=device-width' in text


def test_a_picture_that_was_not_drawn_is_a_mistake_of_ours() -> None:
    document = Document("T", "S", (section("A", Picture("plots/y.png", "Y", "")),))
    with pytest.raises(Exception, match=r"no attribute 'plots/y\.png'"):
        page.render(document, {})
