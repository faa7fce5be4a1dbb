"""Workspace snapshots: the files of a box as they stood, so that another box has the same.

A snapshot says how the files differ from what the workspace began with (its *base*, a tar archive), and where the
contents lie: in its own object those that were new, in objects of earlier snapshots the others. What a box says of its
files is not trusted: paths lead nowhere but into the workspace, and every content is what its hash says.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from triptych.errors import CheckpointMissing, CheckpointTorn, SandboxLimitHit
from triptych.sandbox.client import BoxLost, Client, Marked
from triptych.sandbox.policy import ROOT
from triptych.snapshots import HeldContent, PathInside, Sha256, Snapshot, SnapshotEntry

_MIB = 1024 * 1024
_TOO_MUCH = (errno.EFBIG, errno.ENOMEM, errno.ENOSPC)


class SnapshotStore(Protocol):
    """Where snapshots and their bases are kept."""

    async def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        ...

    async def write(self, key: str, content: bytes) -> None:
        """Write an object whole, and return once it is durable."""
        ...


class SnapshotPolicy(BaseModel):
    """What belongs to a workspace's files. What is left out is not there any more in another box.

    Within a folder called `.git` nothing is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exclude: tuple[str, ...] = (
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        "node_modules",
        ".venv",
        ".tox",
    )
    """Names of files and folders, wherever they lie, as the shell's patterns: `*.log`, say."""
    max_file_mib: int = Field(default=10, ge=0)
    """A file that is larger is left out, but for one that was there at the beginning and is as it was."""
    max_snapshot_mib: int = Field(default=256, ge=1)
    """Of the contents that are new in one snapshot. More of them ends the run."""
    max_entries: int = Field(default=20_000, ge=1)
    """Of the files and folders that are not as they were at the beginning. More of them end the run."""

    @field_validator("exclude")
    @classmethod
    def _are_names(cls, exclude: tuple[str, ...]) -> tuple[str, ...]:
        for name in exclude:
            if not name or "/" in name or "\0" in name:
                raise ValueError(f"{name!r} is no pattern of a name: it is matched against each part of a path")
        return exclude

    def told(self) -> dict[str, Any]:
        """Return it as a box takes it."""
        return {
            "exclude": list(self.exclude),
            "max_file_bytes": self.max_file_mib * _MIB,
            "max_bytes": self.max_snapshot_mib * _MIB,
            "max_entries": self.max_entries,
        }


class _Told(BaseModel):
    """What a box says of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: int
    tree: Sha256
    entries: tuple[SnapshotEntry, ...]
    removed: tuple[PathInside, ...]
    contents: tuple[tuple[Sha256, int], ...]
    left_out: dict[str, str]
    left_out_count: int


class Files:
    """The files of one workspace: saved from the box that it is in, and restored into the next one.

    Args:
        client: The broker's.
        store: Where snapshots are kept.
        folder: The part of a snapshot's key that stands before its name.
        base: The key of what the workspace begins with, an uncompressed tar archive; None: nothing.
        policy: What belongs to the files.

    Every method raises `SandboxUnavailable` where the broker does not answer, and `BoxLost` where the box is gone or
    does not make sense any more; `save` and `is_as_saved` may then be called again, and `restore` with another box.
    """

    def __init__(
        self, client: Client, store: SnapshotStore, *, folder: str, base: str | None, policy: SnapshotPolicy
    ) -> None:
        self._client = client
        self._store = store
        self._folder = folder
        self._base = base
        self._policy = policy
        self._generation = 0
        self._base_tree = ""
        self._last: Snapshot | None = None
        self._held: dict[str, HeldContent] = {}

    async def restore(self, box: str, name: str | None) -> None:
        """Have the files of a snapshot in a box that is empty; None: the base.

        Raises:
            CheckpointMissing: the base, or an object that the snapshot needs, is not in the store.
            CheckpointTorn: one of them is not whole, or the files are not those that were saved.
            SandboxLimitHit: the box is too small for them.
        """
        snapshot = decode(self._key(name), await self._required(self._key(name)))[0] if name is not None else None
        base = self._base if snapshot is None else snapshot.base
        if base is not None:
            await self._lay_base(box, base)
        marked = await self._of_the_box(self._client.mark(box, self._policy.told()))
        self._base_tree = marked.tree
        if snapshot is not None:
            marked = await self._of_the_box(self._client.lay(box, await self._body(snapshot)))
            if marked.tree != snapshot.tree:
                raise CheckpointTorn(
                    f"workspace snapshot {self._key(snapshot.name)} cannot be restored: the files that come of it have "
                    f"the hash {marked.tree}, not {snapshot.tree}. Is {base or 'its base'} another one than it was?"
                )
        self._generation, self._last = marked.generation, snapshot
        self._held = dict(snapshot.contents) if snapshot is not None else {}

    async def save(self, box: str, name: str) -> str | None:
        """Keep the files of a box, and return the name of the snapshot that holds them.

        That is the last one's, where nothing has changed since; None for the base itself.

        Args:
            box: The one that was restored last.
            name: What a new snapshot is called.

        Raises:
            SandboxLimitHit: more has changed than the policy lets be kept.
        """
        told, new = await self._look(box)
        if self._is_last(told):
            self._generation = told.generation
            return None if self._last is None else self._last.name
        held = self._held | _places(told, name)
        snapshot = Snapshot(
            name=name,
            base=self._base if self._last is None else self._last.base,
            tree=told.tree,
            entries=told.entries,
            removed=told.removed,
            contents={each.content: held[each.content] for each in told.entries if each.kind == "file"},
            left_out=told.left_out,
            left_out_count=told.left_out_count,
        )
        await self._store.write(self._key(name), encode(snapshot, new))
        self._held, self._last, self._generation = held, snapshot, told.generation
        return name

    async def is_as_saved(self, box: str) -> bool:
        """Whether the files of a box are those that were saved, or restored, last."""
        return self._is_last((await self._look(box))[0])

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _is_last(self, told: _Told) -> bool:
        if self._last is None:
            return (told.tree, told.entries, told.removed) == (self._base_tree, (), ())
        return (told.tree, told.entries, told.removed) == (self._last.tree, self._last.entries, self._last.removed)

    async def _lay_base(self, box: str, base: str) -> None:
        archive = await self._required(base)
        try:
            await self._client.put(box, "tree", ROOT, archive)
        except OSError as error:
            if error.errno in _TOO_MUCH:
                raise SandboxLimitHit(
                    f"a box is too small for what its workspace begins with, {base} of {len(archive)} bytes: raise "
                    "`disk_mib` of its template"
                ) from error
            raise CheckpointTorn(f"{base}, which a workspace begins with, is no tar archive: {error}") from error

    async def _body(self, snapshot: Snapshot) -> bytes:
        """Return what brings a box that holds the base to a snapshot, as the box takes it."""
        pieces: list[bytes] = []
        by_object: dict[str, list[tuple[str, HeldContent]]] = {}
        for content, held in snapshot.contents.items():
            by_object.setdefault(held.snapshot, []).append((content, held))
        order: list[tuple[str, int]] = []
        for name, wanted in by_object.items():
            _, contents = decode(self._key(name), await self._required(self._key(name)))
            for content, held in wanted:
                piece = contents[held.offset : held.offset + held.size]
                if hashlib.sha256(piece).hexdigest() != content:
                    raise CheckpointTorn(f"workspace snapshot {self._key(name)} is not whole: a file's content differs")
                order.append((content, held.size))
                pieces.append(piece)
        manifest = {
            "entries": [each.model_dump() for each in snapshot.entries],
            "removed": snapshot.removed,
            "contents": order,
        }
        return json.dumps(manifest).encode() + b"\n" + b"".join(pieces)

    async def _look(self, box: str) -> tuple[_Told, bytes]:
        """Return what a box says of its files, and the contents that are new, once both can be believed."""
        data = bytearray()
        most = (self._policy.max_snapshot_mib + self._policy.max_entries // 1024 + 1) * _MIB
        try:
            async with aclosing(self._client.changes(box, self._generation)) as pieces:
                async for piece in pieces:
                    data += piece
                    if len(data) > most:
                        raise OSError(errno.EFBIG, "a box told more of its files than it may")
        except OSError as error:
            if error.errno not in _TOO_MUCH:
                raise BoxLost(f"the box cannot say what has changed in it: {error}") from error
            raise SandboxLimitHit(
                f"a workspace's files cannot be kept, {error}: raise `max_snapshot_mib` or `max_entries` of the "
                "agent's SnapshotPolicy, or exclude what need not be kept"
            ) from error
        contents, _, line = bytes(data).rpartition(b"\n")
        try:
            told = _Told.model_validate_json(line)
            self._check(told, contents)
        except ValueError as error:
            raise BoxLost(f"the box says of its files what cannot be: {error}") from error
        return told, contents

    def _check(self, told: _Told, contents: bytes) -> None:
        """Believe nothing that can be found out.

        Raises:
            ValueError: what a box says does not hold together.
        """
        sizes = {content: held.size for content, held in self._held.items()}
        at = 0
        for content, size in told.contents:
            if size < 0 or hashlib.sha256(contents[at : at + size]).hexdigest() != content:
                raise ValueError("a content is not what its hash says")
            sizes[content] = size
            at += size
        if at != len(contents):
            raise ValueError("there are more contents than it says")
        if len({each.path for each in told.entries}) != len(told.entries):
            raise ValueError("a path stands there twice")
        for entry in told.entries:
            if entry.kind == "file" and sizes.get(entry.content) != entry.size:
                raise ValueError(f"the content of {entry.path} never came")

    async def _required(self, key: str) -> bytes:
        content = await self._store.read(key)
        if content is None:
            raise CheckpointMissing(f"{key}, which a workspace's files are restored from, is not in the store")
        return content

    async def _of_the_box(self, asked: Awaitable[Marked]) -> Marked:
        try:
            return await asked
        except OSError as error:
            if error.errno in _TOO_MUCH:
                raise SandboxLimitHit(
                    f"a box is too small for the files of its workspace ({error}): raise `disk_mib` of its template"
                ) from error
            raise BoxLost(f"the box cannot have the files of its workspace: {error}") from error


def encode(snapshot: Snapshot, contents: bytes) -> bytes:
    """Return a snapshot's object."""
    return snapshot.model_dump_json().encode() + b"\n" + contents


def decode(key: str, content: bytes) -> tuple[Snapshot, bytes]:
    """Return the record of a snapshot's object, and the contents that came with it.

    Raises:
        CheckpointTorn: it is not whole, or no snapshot.
    """
    line, _, contents = content.partition(b"\n")
    try:
        return Snapshot.model_validate_json(line), contents
    except ValidationError as error:
        raise CheckpointTorn(f"workspace snapshot {key} cannot be used: it is not what was written") from error


def _places(told: _Told, name: str) -> dict[str, HeldContent]:
    """Return where the contents lie that are new."""
    found: dict[str, HeldContent] = {}
    at = 0
    for content, size in told.contents:
        found[content] = HeldContent(snapshot=name, offset=at, size=size)
        at += size
    return found
