"""Which paths of a repository a patch may touch, and where a symbolic link in it may lead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from triptych.errors import ConfigurationError
from triptych.repositories.showing import visible

_GITS_OWN = re.compile(r"\.git(?:modules)?|git(?:mod)?~[0-9]+|gi7eba~[0-9]+")
"""With the short names that Windows gives them."""


class Forbidden:
    """Paths that a policy keeps, by patterns as in `.gitignore`, without `!` and whatever the case of letters."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Read the patterns.

        Raises:
            ConfigurationError: one of them forbids nothing, as `!src` or an empty one.
        """
        self._patterns = [(pattern, _compiled(pattern)) for pattern in patterns]

    def pattern_for(self, path: str, *, is_link: bool = False) -> str | None:
        """Return the pattern that keeps a path; None where there is none.

        Args:
            path: As git has it.
            is_link: Whether a symbolic link is there, which may stand for a folder.
        """
        if is_link and (kept := self.pattern_for(f"{path}/x")):
            return kept
        # As other file systems see it: no dots or spaces at the end of a name.
        folded = "/".join(part.rstrip(". ") or part for part in path.casefold().split("/"))
        return next((pattern for pattern, compiled in self._patterns if compiled.fullmatch(folded)), None)


def why_unsafe(path: bytes) -> str | None:
    """Return why nothing may ever be written to a path of a repository; None where it may."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return f"the file name {shown(path)} is not UTF-8"
    if visible(text) != text or "\t" in text:
        return f"the file name {visible(text)!r} holds characters that cannot be seen"
    parts = re.split(r"[/\\]", text)
    if "" in parts or "." in parts or ".." in parts or re.match(r"[A-Za-z]:", text):
        return f"the path {text!r} leads out of the repository"
    if any(_is_gits_own(part) for part in parts):
        return f"the path {text!r} is git's own"
    return None


def why_link_is_unsafe(path: bytes, target: bytes) -> str | None:
    """Return why a symbolic link at a path may not lead where it does; None where it stays in the repository.

    Steps upwards are allowed at its beginning alone: after another name they might start from where another link leads.
    """
    link = f"the link {shown(path)}, which leads to {shown(target)},"
    try:
        text = target.decode()
    except UnicodeDecodeError:
        return f"{link} is not UTF-8"
    if not text or visible(text) != text or "\t" in text:
        return f"{link} holds characters that cannot be seen"
    if text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", text):
        return f"{link} leads out of the repository"
    parts = [part for part in re.split(r"[/\\]", text) if part not in ("", ".")]
    steps = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if steps > path.count(b"/") or ".." in parts[steps:]:
        return f"{link} leads out of the repository, or may"
    if any(_is_gits_own(part) for part in parts):
        return f"{link} leads to what is git's own"
    return None


def shown(path: bytes) -> str:
    """Return a path that may be anything as a person can read it, in quotes."""
    return repr(visible(path.decode(errors="backslashreplace")))


def _is_gits_own(part: str) -> bool:
    # As other file systems see it: any case, other forms of letters, no dots or spaces at the end, no named stream.
    name = unicodedata.normalize("NFKC", part).casefold().partition(":")[0].rstrip(". ")
    return _GITS_OWN.fullmatch(name) is not None


def _compiled(pattern: str) -> re.Pattern[str]:
    if not pattern.strip("/") or "//" in pattern or pattern.startswith(("!", "#")):
        raise ConfigurationError(
            f"the forbidden path {pattern!r} forbids nothing: write it as in .gitignore, no ! and no #"
        )
    folded = pattern.casefold()
    is_anchored = "/" in folded.rstrip("/")
    body = folded.strip("/")
    found = "" if is_anchored else "(?:.*/)?"
    position = 0
    while position < len(body):
        rest = body[position:]
        if rest.startswith("**/") and (position == 0 or body[position - 1] == "/"):
            found, position = f"{found}(?:.*/)?", position + 3
        elif rest == "**" and (position == 0 or body[position - 1] == "/"):
            found, position = f"{found}.+", position + 2
        elif kind := re.match(r"\[([!^]?)(\]?[^]/]*)\]", rest):
            negated, characters = kind.groups()
            escaped = re.sub(r"([\\\[&~|^])", r"\\\1", characters)
            found += f"(?!/)[{'^' if negated else ''}{escaped}]"
            position += kind.end()
        elif rest[0] == "\\" and len(rest) > 1:
            found, position = found + re.escape(rest[1]), position + 2
        else:
            found += {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0]))
            position += 1
    # What it names may be a folder, with all that is below; with a slash at its end it is nothing else.
    below = "/.*" if folded.endswith("/") else "(?:/.*)?"
    return re.compile(found + below, re.DOTALL)
