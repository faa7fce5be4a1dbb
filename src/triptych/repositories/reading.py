"""Read a patch as git writes it, and refuse whatever git does not write; nothing of it is applied or run.

Git itself takes more: words before and between the files, other forms of headers. None of that has a place in a patch
that was made by `git diff --binary`, and it is where a patch says one thing to a reader and another to git.
"""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import dataclass, field
from typing import Literal

LINK = "120000"
_NO_NEWLINE = b"\\ "
_MODE = rb"([0-7]{6})"
_HEADERS = {
    "old_mode": re.compile(rb"old mode " + _MODE),
    "new_mode": re.compile(rb"new mode " + _MODE),
    "added": re.compile(rb"new file mode " + _MODE),
    "deleted": re.compile(rb"deleted file mode " + _MODE),
    "similarity": re.compile(rb"(?:dis)?similarity index (\d{1,3})%"),
    "rename_from": re.compile(rb"rename from (.+)"),
    "rename_to": re.compile(rb"rename to (.+)"),
    "copy_from": re.compile(rb"copy from (.+)"),
    "copy_to": re.compile(rb"copy to (.+)"),
    "index": re.compile(rb"index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: " + _MODE + rb")?"),
}
_HUNK = re.compile(rb"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@(?: .*)?")
_BINARY = re.compile(rb"(literal|delta) (\d{1,15})")
_BASE85 = re.compile(rb"([A-Za-z])([0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]+)")
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


class MalformedPatch(ValueError):
    """It is no patch as git writes it; the message says where and why. Never leaves this package."""


@dataclass
class FilePatch:
    """What a patch says of one file."""

    kind: Literal["added", "modified", "deleted", "renamed", "copied"]
    old: bytes
    """The path, also of a file that is added."""
    new: bytes
    """The path, also of a file that is deleted."""
    old_mode: str | None
    """None where there was no file, or where the patch does not say."""
    new_mode: str | None
    lines: list[bytes]
    """Of its section in the patch, without their ends."""
    added: int = 0
    removed: int = 0
    is_binary: bool = False
    binary_bytes: int = 0
    """How large the largest thing becomes that is unpacked from a binary section."""
    content: bytes = field(default=b"", repr=False)
    """What the hunks leave: the whole of a file that is added, and of a link."""


def read_patch(patch: bytes) -> list[FilePatch]:
    """Return what a patch says, file by file.

    Raises:
        MalformedPatch: git does not write that.
    """
    if not patch.endswith(b"\n"):
        raise MalformedPatch("its last line has no end: it was cut off")
    reader = _Reader(patch[:-1].split(b"\n"))
    files: list[FilePatch] = []
    while not reader.is_at_end:
        files.append(reader.file())
    return files


class _Reader:
    """The lines of a patch, read one after the other."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._lines)

    @property
    def line(self) -> bytes:
        """The next line; empty after the last one."""
        return b"" if self.is_at_end else self._lines[self._at]

    def file(self) -> FilePatch:
        start = self._at
        pairs = _pairs(self._after(b"diff --git "), self)
        headers: dict[str, bytes] = {}
        while found := self._header():
            name, value = found
            if name in headers:
                raise self.malformed("a header comes twice")
            headers[name] = value
        kind = _kind(headers, self)
        old, new = self._names(kind, pairs, headers)
        old_mode, new_mode = _modes(kind, headers)
        file = FilePatch(kind, old, new, old_mode, new_mode, [])
        if self.line.startswith(b"--- "):
            self._text(file)
        elif self.line == b"GIT binary patch":
            self._binary(file)
        elif self.line.startswith(b"Binary files "):
            raise self.malformed("the content of a binary file is missing; make the patch with --binary")
        file.lines = self._lines[start : self._at]
        if (file.added or file.removed or file.is_binary) and (file.old_mode or file.new_mode) is None:
            raise self.malformed("it does not say what kind of file it changes")
        return file

    def malformed(self, why: str) -> MalformedPatch:
        return MalformedPatch(f"at line {self._at + 1} of the patch, {why}")

    def _after(self, prefix: bytes) -> bytes:
        line = self.line
        if self.is_at_end or not line.startswith(prefix):
            raise self.malformed(f"git would have written {prefix.decode().strip()!r}")
        self._at += 1
        return line[len(prefix) :]

    def _header(self) -> tuple[str, bytes] | None:
        for name, pattern in _HEADERS.items():
            if found := pattern.fullmatch(self.line):
                self._at += 1
                return name, found.group(1) or b""
        return None

    def _names(self, kind: str, pairs: list[tuple[bytes, bytes]], headers: dict[str, bytes]) -> tuple[bytes, bytes]:
        """Return both paths, where all that is said of them agrees."""
        if kind in ("renamed", "copied"):
            word = "rename" if kind == "renamed" else "copy"
            names = _name(headers[f"{word}_from"], self), _name(headers[f"{word}_to"], self)
        else:
            same = [(old, new) for old, new in pairs if old == new]
            if len(same) != 1:
                raise self.malformed("two names stand where one file is meant")
            names = same[0]
        if names not in pairs:
            raise self.malformed("the names in its headers differ")
        if self.line.startswith(b"--- "):
            sides = [self._lines[self._at], self._lines[self._at + 1] if self._at + 1 < len(self._lines) else b""]
            expected = (
                None if kind == "added" else b"a/" + names[0],
                None if kind == "deleted" else b"b/" + names[1],
            )
            for side, prefix, wanted in zip(sides, (b"--- ", b"+++ "), expected, strict=True):
                if not side.startswith(prefix) or _side(side[4:], self) != wanted:
                    raise self.malformed("the names in its headers differ")
        return names

    def _text(self, file: FilePatch) -> None:
        self._at += 2
        content: list[bytes] = []
        if not self.line.startswith(b"@@ "):
            raise self.malformed("there is a file without a change")
        while self.line.startswith(b"@@ "):
            self._hunk(file, content)
        file.content = b"".join(content)

    def _hunk(self, file: FilePatch, content: list[bytes]) -> None:
        found = _HUNK.fullmatch(self.line)
        if found is None:
            raise self.malformed("a hunk's header cannot be read")
        old, new = (1 if count is None else int(count) for count in found.groups())
        self._at += 1
        is_kept = False
        while old or new or self.line.startswith(_NO_NEWLINE):
            line = self.line
            # Some settings of git leave a line empty that is empty on both sides.
            sign = line[:1] or b" "
            if self.is_at_end or sign not in b" +-\\" or (sign == b"\\" and not line.startswith(_NO_NEWLINE)):
                raise self.malformed("a hunk is other than its header says")
            # Below zero neither comes back to it: such a hunk has no end.
            old -= sign in b" -"
            new -= sign in b" +"
            file.added += sign == b"+"
            file.removed += sign == b"-"
            if sign == b"\\" and is_kept:
                content[-1] = content[-1].removesuffix(b"\n")
            is_kept = sign in b" +"
            if is_kept:
                content.append(line[1:] + b"\n")
            self._at += 1

    def _binary(self, file: FilePatch) -> None:
        self._at += 1
        file.is_binary = True
        sizes = [self._unpacked_bytes()]
        if _BINARY.fullmatch(self.line):
            sizes.append(self._unpacked_bytes())
        file.binary_bytes = max(sizes)

    def _unpacked_bytes(self) -> int:
        """Read one binary section; return how large it becomes, which a small one can hide."""
        found = _BINARY.fullmatch(self.line)
        if found is None:
            raise self.malformed("a binary section cannot be read")
        self._at += 1
        packed = bytearray()
        while self.line:
            packed += self._base85(self.line)
            self._at += 1
        self._after(b"")
        size = int(found.group(2))
        return size if found.group(1) == b"literal" else max(size, self._delta_bytes(bytes(packed)))

    def _base85(self, line: bytes) -> bytes:
        found = _BASE85.fullmatch(line)
        if found is None:
            raise self.malformed("a binary section cannot be read")
        letter, encoded = found.groups()
        length = letter[0] - (ord("A") - 1 if letter.isupper() else ord("a") - 27)
        try:
            return base64.b85decode(encoded)[:length]
        except ValueError:
            raise self.malformed("a binary section cannot be read") from None

    def _delta_bytes(self, packed: bytes) -> int:
        try:
            numbers = zlib.decompressobj().decompress(packed, 32)
        except zlib.error:
            raise self.malformed("a binary section cannot be unpacked") from None
        found = [0]
        shift = 0
        for byte in numbers:
            found[-1] |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                found.append(0)
                shift = 0
            if len(found) == 3:
                return found[1]
        raise self.malformed("a binary section cannot be unpacked")


def _kind(headers: dict[str, bytes], reader: _Reader) -> Literal["added", "modified", "deleted", "renamed", "copied"]:
    renamed = {"rename_from", "rename_to"} & headers.keys()
    copied = {"copy_from", "copy_to"} & headers.keys()
    changed = {"old_mode", "new_mode"} & headers.keys()
    kinds = [bool(renamed), bool(copied), "added" in headers, "deleted" in headers]
    if sum(kinds) > 1 or 1 in (len(renamed), len(copied), len(changed)) or (changed and any(kinds[2:])):
        raise reader.malformed("the headers of a file contradict one another")
    if renamed or copied:
        return "renamed" if renamed else "copied"
    return "added" if kinds[2] else "deleted" if kinds[3] else "modified"


def _modes(kind: str, headers: dict[str, bytes]) -> tuple[str | None, str | None]:
    both = headers.get("index") or None
    old = headers.get("deleted") or headers.get("old_mode") or both
    new = headers.get("added") or headers.get("new_mode") or both
    return (
        None if kind == "added" or old is None else old.decode(),
        None if kind == "deleted" or new is None else new.decode(),
    )


def _pairs(rest: bytes, reader: _Reader) -> list[tuple[bytes, bytes]]:
    """Return how `a/OLD b/NEW` can be read: more than one way where names hold spaces."""
    if rest.startswith(b'"'):
        old, rest = _unquoted(rest, reader)
        found = [(old, _name(rest[1:], reader))] if rest.startswith(b" ") else []
    elif rest.endswith(b'"'):
        old, _, quoted = rest.partition(b' "')
        found = [(old, _name(b'"' + quoted, reader))]
    else:
        found = [(rest[: at.start()], rest[at.start() + 1 :]) for at in re.finditer(b"(?= b/)", rest)]
    pairs = [(old[2:], new[2:]) for old, new in found if old.startswith(b"a/") and new.startswith(b"b/")]
    if not pairs:
        raise reader.malformed("the names of a file cannot be read; they begin with a/ and b/")
    return pairs


def _side(text: bytes, reader: _Reader) -> bytes | None:
    # Git ends a name that holds a space with a tab.
    name = _name(text if text.startswith(b'"') else text.removesuffix(b"\t"), reader)
    return None if text == b"/dev/null" else name


def _name(text: bytes, reader: _Reader) -> bytes:
    if not text.startswith(b'"'):
        return text
    name, rest = _unquoted(text, reader)
    if rest.removesuffix(b"\t"):
        raise reader.malformed("a quoted name is followed by something")
    return name


def _unquoted(text: bytes, reader: _Reader) -> tuple[bytes, bytes]:
    """Return a name that git put in quotes, and what comes after it."""
    name = bytearray()
    at = 1
    while at < len(text) and text[at : at + 1] != b'"':
        found = re.compile(rb'\\([0-3][0-7]{2}|[abtnvfr"\\])|[^\\]').match(text, at)
        if found is None:
            raise reader.malformed("a quoted name cannot be read")
        code = found.group(1)
        name.append(text[at] if code is None else _ESCAPES[code] if code in _ESCAPES else int(code, 8))
        at = found.end()
    if at >= len(text):
        raise reader.malformed("a quoted name has no end")
    return bytes(name), text[at + 1 :]
