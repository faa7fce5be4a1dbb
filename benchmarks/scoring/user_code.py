"""How many lines of code the user of an architecture writes."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import benchmarks.arms
from benchmarks.arms import ARMS
from benchmarks.arms.protocol import SPLIT

_FOLDER = Path(benchmarks.arms.__file__).parent

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> int:
    """Count the lines of a Python file that hold code, down to `SPLIT`.

    Blank lines, comments, and strings that are statements (docstrings) are none. A statement over three lines is three.

    Args:
        source: The file's text.

    Raises:
        tokenize.TokenError: it is not Python.
    """
    lines: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.string == SPLIT:
            break
        if token.type not in _NO_CODE:
            statement.append(token)
        elif token.type == tokenize.NEWLINE:
            if any(each.type != tokenize.STRING for each in statement):
                lines.update(*(range(each.start[0], each.end[0] + 1) for each in statement))
            statement = []
    return len(lines)


def lines_of(sources: Mapping[str, str]) -> int:
    """Count the lines of all files of an arm's user.

    Args:
        sources: Each of `Arm.SOURCES` with its text. A file that is not Python counts by its lines that are neither
            blank nor a `#` comment.
    """
    return sum(
        code_lines(text)
        if name.endswith(".py")
        else sum(bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines())
        for name, text in sources.items()
    )


def lines_of_arms(arms: Iterable[str]) -> dict[str, int]:
    """Count the lines that the user of each of these arms writes; an arm that is not in `ARMS` has no count.

    The arms are read and not imported: what they need may not be installed where old trials are scored again.

    Raises:
        ValueError: an arm's `SOURCES` is not written out: a developer has to mend it.
    """
    return {
        arm: lines_of(
            {
                name: (_FOLDER / name).read_text(encoding="utf-8")
                for name in _sources(ARMS[arm].module.rpartition(".")[2])
            }
        )
        for arm in sorted(set(arms) & set(ARMS))
    }


def _sources(arm: str) -> tuple[str, ...]:
    """Return the `SOURCES` of an arm's file, given by its name: written out there, or those of another arm."""
    for node in ast.parse((_FOLDER / f"{arm}.py").read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not any(_is_sources(target) for target in targets):
            continue
        match node.value:
            case ast.Attribute(value=ast.Name(id=other), attr="SOURCES"):
                return _sources(other)
            case ast.Tuple() as written:
                return cast("tuple[str, ...]", ast.literal_eval(written))
            case _:
                break
    raise ValueError(f"{arm}.py has no SOURCES that can be read")


def _is_sources(target: ast.expr | None) -> bool:
    return isinstance(target, ast.Name) and target.id == "SOURCES"
