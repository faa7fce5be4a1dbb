"""Workspace snapshots as they are kept: records like those of `triptych.records`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import quote, unquote_to_bytes

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triptych.records import Record

_MAX_PATH_BYTES = 4096


def _is_canonical(text: str) -> str:
    named = unquote_to_bytes(text)
    if not named or b"\0" in named or len(named) > _MAX_PATH_BYTES or quote(named, safe="/+,=@:") != text:
        raise ValueError("these are no bytes as in a URL, or too many")
    return text


def _leads_inside(path: str) -> str:
    if path != "." and not {b"", b".", b".."}.isdisjoint(unquote_to_bytes(path).split(b"/")):
        raise ValueError("it is no path within the workspace")
    return path


TextOfBytes = Annotated[str, AfterValidator(_is_canonical)]
"""Bytes as in a URL: a file's name may be any of them."""
PathInside = Annotated[TextOfBytes, AfterValidator(_leads_inside)]
_SHA256 = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, Field(pattern=_SHA256)]


class SnapshotEntry(BaseModel):
    """A file, folder or link of a workspace, as it stood."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: PathInside
    """Below the workspace; `.` is the workspace itself."""
    kind: Literal["file", "folder", "link"]
    mode: int = Field(ge=0, le=0o7777)
    content: str = ""
    """A file's SHA-256, and where a link leads, as in a URL."""
    size: int = Field(default=0, ge=0)
    """A file's, in bytes."""
    mtime_us: int = 0
    """A file's, in microseconds of Unix time."""

    @model_validator(mode="after")
    def _content_fits(self) -> Self:
        if self.kind == "link":
            _is_canonical(self.content)
        elif re.match(_SHA256 if self.kind == "file" else r"^$", self.content) is None:
            raise ValueError(f"this is no content of a {self.kind}")
        if self.path == "." and self.kind != "folder":
            raise ValueError("the workspace is a folder")
        return self


class HeldContent(BaseModel):
    """Where the bytes of a file's content lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    snapshot: str
    """The snapshot that came with them, by its name."""
    offset: int = Field(ge=0)
    """In what follows that snapshot's record."""
    size: int = Field(ge=0)


class Snapshot(Record):
    """The files of a workspace at a step: how they differ from what the workspace began with.

    One object in the checkpoint store: this record as a line of JSON, and behind it the contents that were new.
    """

    name: str
    """Of the object, below the run's snapshots."""
    base: str | None
    """The object in the store that the workspace began with, a tar archive; None where it began empty."""
    tree: Sha256
    """The hash of all files: of their kinds, modes, contents and paths."""
    entries: tuple[SnapshotEntry, ...]
    removed: tuple[PathInside, ...]
    contents: dict[Sha256, HeldContent]
    left_out: dict[str, str] = Field(default_factory=dict[str, str])
    """Some of what it does not hold, by its path, and why."""
    left_out_count: int = 0
    """How much there was of it."""
