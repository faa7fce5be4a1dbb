"""A document as one HTML file that needs nothing beside itself: its pictures are in it, and it loads nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.reporting.document import Document

_MARKED = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|(?P<link>https?://[^\s<>\"'`]+[^\s<>\"'`.,;:)\]])"
    r"|(?P<interval>\((?:-?[\d.,]+|never) to (?:-?[\d.,]+|never)\))"
)

_WRITTEN = {
    "code": "<code>{}</code>",
    "link": '<a href="{0}">{0}</a>',
    # An interval is read as one.
    "interval": '<span class="interval">{}</span>',
}


def inline(text: str) -> Markup:
    """Return a text with everything escaped; what stands between two backticks is code, and an address is a link."""
    out = Markup()
    at = 0
    for match in _MARKED.finditer(text):
        out += escape(text[at : match.start()])
        for name, form in _WRITTEN.items():
            if match[name] is not None:
                out += Markup(form).format(match[name])
        at = match.end()
    return out + escape(text[at:])


def render(document: Document, pngs: Mapping[str, bytes]) -> str:
    """Return the whole page.

    Args:
        document: What it says.
        pngs: By the path that a picture in the document has.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = inline
    sources = {file: "data:image/png;base64," + base64.b64encode(png).decode() for file, png in pngs.items()}
    return environment.get_template("page.html.jinja").render(document=document, sources=sources, kind=_kind)


def _kind(block: object) -> str:
    return type(block).__name__
