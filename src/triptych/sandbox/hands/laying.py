"""How the files of a snapshot are laid out in a box, over what it began with."""

from __future__ import annotations

import io
import os
import shutil
import stat
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from triptych.sandbox.hands.frames import CHUNK


class Entry(NamedTuple):
    """What there is to say of a path."""

    kind: str
    """`file`, `folder` or `link`."""
    mode: int
    content: str
    """A file's SHA-256; where a link leads; empty for a folder."""
    size: int
    """A file's, in bytes."""
    mtime_us: int
    """A file's, in microseconds of Unix time."""


class Laying:
    """Brings the working directory from what was marked to what was told."""

    def __init__(self, root: bytes, base: dict[str, Entry], entries: dict[str, Entry]) -> None:
        self._root = root
        self._entries = entries
        self._modes = {name: entry.mode for name, entry in base.items() if entry.kind == "folder"}
        self._opened: set[str] = set()

    def lay(self, removed: list[str], contents: list[list[Any]], source: io.BufferedIOBase) -> None:
        """Do it."""
        for name in removed:
            self._remove(name)
        places: dict[str, list[str]] = {}
        # A folder stands before what is in it.
        for name, entry in sorted(self._entries.items()):
            if entry.kind == "folder":
                self._make(name, entry)
            else:
                self._remove(name)
            if entry.kind == "link":
                os.symlink(unquote_to_bytes(entry.content), self._place(name))
            elif entry.kind == "file":
                places.setdefault(entry.content, []).append(name)
        for content, size in contents:
            self._write(places.pop(content), size, source)
        if places:
            raise ValueError(f"the content of {next(iter(places.values()))[0]} is missing")
        # What is in a folder before the folder, which may let nobody in from then on.
        for name in sorted(self._opened, key=lambda name: (name != ".", name), reverse=True):
            os.chmod(self._place(name), self._modes[name])

    def _place(self, name: str) -> bytes:
        return os.path.join(self._root, unquote_to_bytes(name))

    def _make(self, name: str, entry: Entry) -> None:
        place = self._place(name)
        if not os.path.isdir(place):
            self._open(name.rpartition("/")[0] or ".")
            os.mkdir(place)
        self._modes[name] = entry.mode
        self._opened.add(name)
        os.chmod(place, entry.mode | stat.S_IRWXU)

    def _open(self, name: str) -> None:
        """Let this program write in a folder until everything is laid."""
        if name not in self._opened:
            place = self._place(name)
            self._opened.add(name)
            os.chmod(place, os.stat(place).st_mode | stat.S_IRWXU)

    def _remove(self, name: str) -> None:
        place = self._place(name)
        if not os.path.lexists(place):
            return
        self._open(name.rpartition("/")[0] or ".")
        if os.path.islink(place) or not os.path.isdir(place):
            os.unlink(place)
            return
        os.chmod(place, stat.S_IRWXU)
        for folder, folders, _ in os.walk(place):
            for child in (os.path.join(folder, each) for each in folders):
                if not os.path.islink(child):
                    os.chmod(child, stat.S_IRWXU)
        shutil.rmtree(place)

    def _write(self, names: list[str], size: int, source: io.BufferedIOBase) -> None:
        for name in names:
            self._open(name.rpartition("/")[0] or ".")
        first, *others = (self._place(name) for name in names)
        left = size
        with open(first, "xb") as file:
            while left:
                data = source.read(min(left, CHUNK))
                if not data:
                    raise ValueError(f"{names[0]} ended {left} bytes too soon")
                file.write(data)
                left -= len(data)
        for other in others:
            shutil.copyfile(first, other)
        for name in names:
            entry, place = self._entries[name], self._place(name)
            os.chmod(place, entry.mode)
            os.utime(place, ns=(entry.mtime_us * 1000, entry.mtime_us * 1000))
