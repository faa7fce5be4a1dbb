"""What came out of a box: a patch, which a model may have written byte by byte. Looked at here, never believed."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from triptych.fixes import FORBIDDEN
from triptych.repositories.git import Git
from triptych.repositories.paths import Forbidden, shown, why_link_is_unsafe, why_unsafe
from triptych.repositories.reading import LINK, FilePatch, MalformedPatch, read_patch
from triptych.repositories.records import FileChange, PatchSummary, Refused
from triptych.repositories.showing import visible

_MODES = {"100644", "100755", LINK}
_SUBMODULE = "160000"


class PatchLimits(BaseModel):
    """How large a patch may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(default=5 * 1024 * 1024, ge=1)
    files: int = Field(default=500, ge=1)
    binary_bytes: int = Field(default=20 * 1024 * 1024, ge=1)
    """Of all binary files together, unpacked."""


class Touched(NamedTuple):
    """A path, as a patch leaves it."""

    path: bytes
    mode: str | None
    """None where nothing is there any more, or where it is not known."""
    target: bytes | None = None
    """Where a symbolic link leads; None for anything else."""


async def inspect(
    patch: bytes, forbidden: Sequence[str] = FORBIDDEN, limits: PatchLimits | None = None
) -> PatchSummary | Refused:
    """Read a patch and say what it does, or why it may not be applied anywhere.

    It is read strictly, by a reader of our own; then git, which would apply it, has to have understood the same.

    Args:
        patch: Made by `git diff --binary --full-index` with its usual `a/` and `b/`; anything else is refused.
        forbidden: Paths that the policy keeps, by patterns as in `.gitignore`; the case of letters does not matter.
        limits: Its size.

    Raises:
        ConfigurationError: a forbidden pattern cannot be used, or there is no git.
    """
    limits = limits or PatchLimits()
    kept = Forbidden(forbidden)
    if not patch.strip():
        return Refused(kind="empty", reason="the patch is empty: nothing was changed")
    if len(patch) > limits.bytes:
        return Refused(kind="too large", reason=f"the patch has {len(patch)} bytes; {limits.bytes} are allowed")
    try:
        # A thread: a long one takes seconds.
        files = await asyncio.to_thread(read_patch, patch)
    except MalformedPatch as error:
        return Refused(kind="malformed", reason=f"git would not have written this patch: {error}")
    if len(files) > limits.files:
        return Refused(kind="too large", reason=f"the patch changes {len(files)} files; {limits.files} are allowed")
    if (binary_bytes := sum(file.binary_bytes for file in files)) > limits.binary_bytes:
        reason = f"its binary files have {binary_bytes} bytes; {limits.binary_bytes} are allowed"
        return Refused(kind="too large", reason=reason)
    if refused := _why_not(files) or why_not(_touched(files), kept):
        return refused
    if await _numbers_by_git(patch) != [_numbers(file) for file in files]:
        return Refused(kind="malformed", reason="git reads this patch otherwise than it is written")
    return PatchSummary(
        digest=hashlib.sha256(patch).hexdigest(),
        bytes=len(patch),
        files=tuple(_change(file) for file in files),
        added=sum(file.added for file in files),
        removed=sum(file.removed for file in files),
    )


def why_not(touched: Iterable[Touched], forbidden: Forbidden) -> Refused | None:
    """Return why paths may not be left as they are; None where they may."""
    kept: Refused | None = None
    for each in touched:
        if each.mode == _SUBMODULE:
            return Refused(kind="unsafe", reason=f"it changes the submodule {shown(each.path)}")
        if each.mode is not None and each.mode not in _MODES:
            return Refused(kind="unsafe", reason=f"{shown(each.path)} is no file of a kind that git keeps: {each.mode}")
        unsafe = why_unsafe(each.path)
        if unsafe is None and each.target is not None:
            unsafe = why_link_is_unsafe(each.path, each.target)
        if unsafe is not None:
            return Refused(kind="unsafe", reason=unsafe)
        pattern = forbidden.pattern_for(each.path.decode(), is_link=each.mode == LINK)
        if pattern is not None and kept is None:
            reason = f"it touches {shown(each.path)}, which the policy keeps ({pattern})"
            kept = Refused(kind="forbidden", reason=reason)
    return kept


def _why_not(files: Sequence[FilePatch]) -> Refused | None:
    for file in files:
        if file.is_binary and LINK in (file.old_mode, file.new_mode):
            return Refused(kind="unsafe", reason=f"the link {shown(file.new)} is not written as text")
    return None


def _touched(files: Iterable[FilePatch]) -> Iterable[Touched]:
    for file in files:
        yield Touched(file.old, file.old_mode)
        # A link that is moved or made executable says nothing of where it leads; the tree says it in the end.
        target = file.content if file.new_mode == LINK and file.content else None
        yield Touched(file.new, file.new_mode, target)


def _change(file: FilePatch) -> FileChange:
    is_same = file.old_mode == file.new_mode
    return FileChange(
        path=file.new.decode(),
        old_path=file.old.decode() if file.old != file.new else None,
        kind=file.kind,
        added=file.added,
        removed=file.removed,
        is_binary=file.is_binary,
        old_mode=None if is_same else file.old_mode,
        new_mode=None if is_same else file.new_mode,
        leads_to=file.content.decode() if file.new_mode == LINK else None,
    )


def _numbers(file: FilePatch) -> tuple[bytes, bytes, bytes]:
    if file.is_binary:
        return b"-", b"-", file.new
    return b"%d" % file.added, b"%d" % file.removed, file.new


async def _numbers_by_git(patch: bytes) -> list[tuple[bytes, ...]] | None:
    """Return added lines, removed lines and path of each file as git reads them; None where it cannot."""
    with tempfile.TemporaryDirectory(prefix="triptych-patch-") as name:
        # No repository: there is nothing that the patch could be applied to.
        done = await Git(Path(name).resolve()).ask("apply", "--numstat", "-z", "-", stdin=patch)
    if done.code != 0:
        return None
    return [tuple(line.split(b"\t", 2)) for line in done.stdout.split(b"\0")[:-1]]


def shorten(patch: bytes, max_lines: int, max_columns: int = 200) -> str:
    """Return a patch for a person to read, as text with nothing hidden in it.

    Whole files are kept, in their order, while there is room; of the others their names and numbers. A first file that
    has no room is cut. A line never begins with a backquote, so that it stays in a block of code. Letters that look
    like others are left as they are.

    Args:
        patch: Any bytes.
        max_lines: Of the patch itself; one more is added for each file that is left out, up to twenty.
        max_columns: Of a line.
    """
    try:
        sections = [(_heading(file), _lines(file)) for file in read_patch(patch)]
    except MalformedPatch:
        sections = [("what is no patch", patch.split(b"\n"))]
    kept: list[str] = []
    left_out: list[str] = []
    for heading, lines in sections:
        room = max_lines - len(kept)
        if len(lines) <= room:
            kept += [_cut(line, max_columns) for line in lines]
        elif not kept and room > 0:
            kept += [_cut(line, max_columns) for line in lines[:room]]
            left_out.append(f"[{len(lines) - room} more lines of {heading}]")
        else:
            left_out.append(f"[left out: {heading}]")
    if len(left_out) > 20:
        left_out[19:] = [f"[and {len(left_out) - 19} more files]"]
    return "\n".join([*kept, *left_out])


def _heading(file: FilePatch) -> str:
    counts = "binary" if file.is_binary else f"{file.added} lines added, {file.removed} removed"
    return f"{file.kind} {shown(file.new)}, {counts}"


def _lines(file: FilePatch) -> list[bytes]:
    if not file.is_binary:
        return file.lines
    start = file.lines.index(b"GIT binary patch")
    return [*file.lines[:start], b"[binary, %d lines not shown]" % (len(file.lines) - start)]


def _cut(line: bytes, max_columns: int) -> str:
    text = visible(line.decode(errors="backslashreplace"))
    if len(text) > max_columns:
        text = f"{text[:max_columns]} [and {len(text) - max_columns} more characters]"
    return text.replace("`", "'") if text.startswith("`") else text
