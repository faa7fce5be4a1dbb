"""A report as data: what is said, apart from how it is written. `markdown` and `page` each write all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias


class Paragraph(NamedTuple):
    """Some sentences."""

    text: str


class Bullets(NamedTuple):
    """A list."""

    items: tuple[str, ...]


class Code(NamedTuple):
    """What is typed at a terminal."""

    text: str


class Table(NamedTuple):
    """A table; a row has as many cells as the head."""

    head: tuple[str, ...]
    """With units."""
    rows: tuple[tuple[str, ...], ...]


class Picture(NamedTuple):
    """A plot."""

    file: str
    """Its path in the result's folder."""
    alt: str
    note: str
    """What it shows and how to read it."""


class Plot(NamedTuple):
    """One plot, if it could be drawn."""

    name: str
    title: str
    note: str
    """What it shows, and how to read it."""
    png: bytes | None
    """None: its data is not there."""


class Heading(NamedTuple):
    """The title of a part of a section."""

    text: str


Block: TypeAlias = Paragraph | Bullets | Code | Table | Picture | Heading


class Section(NamedTuple):
    """A titled part of a report."""

    title: str
    blocks: tuple[Block, ...]


class Document(NamedTuple):
    """A report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]


def section(title: str, *parts: Block | Sequence[Block]) -> Section:
    """Return a section of blocks and of sequences of them."""
    blocks: list[Block] = []
    for part in parts:
        if isinstance(part, (Paragraph, Bullets, Code, Table, Picture, Heading)):
            blocks.append(part)
        else:
            blocks += part
    return Section(title, tuple(blocks))
