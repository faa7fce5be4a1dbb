"""A document as GitHub's Markdown. Whatever its texts hold is shown as it is and means nothing."""

from __future__ import annotations

import re

from benchmarks.reporting.document import Block, Bullets, Code, Document, Heading, Paragraph, Picture, Table

_LETTERS = re.compile(r"[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_CODE = re.compile(r"`([^`]+)`")
_BEGINS_A_BLOCK = re.compile(r"^(\s*)([-+#=]|\d+(?=[.)]))")


def inline(text: str, *, in_table: bool = False) -> str:
    """Return a text that Markdown shows as it is, on one line.

    Args:
        text: What stands between two backticks is shown as code, and means nothing else.
        in_table: Whether it is a cell: there a bar ends it, in code too.
    """
    parts = _CODE.split(" ".join(text.split()))
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = f"`{part.replace('|', chr(92) + '|') if in_table else part}`"
        else:
            part = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            parts[number] = _LETTERS.sub(r"\\\g<0>", part)
    return "".join(parts)


def table(content: Table) -> str:
    """Return a table, with a line break at its end."""
    lines = [content.head, ("---",) * len(content.head), *content.rows]
    cells = (
        " | ".join(cell if number == 1 else inline(cell, in_table=True) for cell in line)
        for number, line in enumerate(lines)
    )
    return "".join(f"| {each} |\n" for each in cells)


def render(document: Document) -> str:
    """Return the whole report. Pictures are links into the result's folder."""
    parts = [f"# {inline(document.title)}", _block(Paragraph(document.subtitle))]
    for number, section in enumerate(document.sections, start=1):
        parts.append(f"## {number}. {inline(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return _line(text)
        case Bullets(items):
            return "\n".join(f"- {_line(item)}" for item in items)
        case Code(text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return f"{fence}console\n{text}\n{fence}"
        case Table():
            return table(block)
        case Picture(file, alt, note):
            return f"![{inline(alt)}]({file})\n\n{_line(note)}"
        case Heading(text):
            return f"### {inline(text)}"


def _line(text: str) -> str:
    """A text whose first letter begins no list, heading or rule."""
    return _BEGINS_A_BLOCK.sub(_as_text, inline(text))


def _as_text(match: re.Match[str]) -> str:
    r"""`1.` becomes `1\.`: what a backslash may stand before is the point, not the digit."""
    if match[2].isdigit():
        return f"{match[1]}{match[2]}\\"
    return f"{match[1]}\\{match[2]}"
