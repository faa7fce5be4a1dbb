"""The box's end of workspace snapshots: what has changed in the working directory, and how that is brought back.

A path, and where a link leads, is told as in a URL: a file's name is any bytes. Kept are folders, files and links, with
their modes; whether a content is new is known by its SHA-256. A file counts as unchanged while its status does (size,
times, inode, mode). What has changed shortly before it was looked at is read again the next time, since a second change
may show in none of them.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import io
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from triptych.sandbox.hands.files import Send, Source
from triptych.sandbox.hands.frames import CHUNK
from triptych.sandbox.hands.laying import Entry, Laying

RACY_NANOSECONDS = 50_000_000
"""A clock of the file system stands still for some milliseconds."""
MAX_NAMED = 20
"""So many of what was left out are named; the others are counted."""
MAX_NAME = 500
MAX_LINE = 256 * 1024 * 1024
WHOLE = b".git"
"""Within a folder of this name nothing is left out: a repository that lacks an object is none."""

Header = dict[str, Any]


class _Seen(NamedTuple):
    signature: tuple[int, ...]
    is_sure: bool
    """Whether it cannot have changed since without another signature."""
    name: str
    entry: Entry


class Policy:
    """What is left out, and what is too much.

    Args:
        told: `exclude` (patterns of names), `max_file_bytes`, `max_bytes` and `max_entries` (of one answer).
    """

    def __init__(self, told: Header) -> None:
        self.names = {os.fsencode(name) for name in told["exclude"]}
        patterns = [name for name in told["exclude"] if set(name) & set("*?[")]
        self._pattern = re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else None
        self.max_file_bytes: int = told["max_file_bytes"]
        self.max_bytes: int = told["max_bytes"]
        self.max_entries: int = told["max_entries"]

    def excludes(self, name: bytes) -> bool:
        """Whether what has this name is left out."""
        return name in self.names or (self._pattern is not None and self._pattern.match(os.fsdecode(name)) is not None)


class _Look:
    """What one look at the working directory finds."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.seen: dict[bytes, _Seen] = {}
        self.left_out: dict[str, str] = {}
        self.left_out_count = 0

    def leave_out(self, path: bytes, why: str) -> None:
        self.left_out_count += 1
        if len(self.left_out) < MAX_NAMED:
            self.left_out[_told(path)[:MAX_NAME]] = why

    def tree(self) -> str:
        """Return the hash of all that is there: two workspaces with the same one hold the same files."""
        digest = hashlib.sha256()
        for name, entry in sorted(self.entries.items()):
            digest.update(f"{entry.kind} {entry.mode:o} {entry.content} {name}\n".encode())
        return digest.hexdigest()


class Snapshots:
    """Knows what the working directory was when it was marked, and which contents its owner has.

    Args:
        root: The working directory.
    """

    def __init__(self, root: str) -> None:
        self._root = os.fsencode(root)
        self._one_at_a_time = threading.Lock()
        self._policy: Policy | None = None
        self._base: dict[str, Entry] = {}
        self._seen: dict[bytes, _Seen] = {}
        self._held: set[str] = set()
        self._offered: set[str] = set()
        self._acknowledged: int = 0
        self._generation: int = 0

    def mark(self, told: Header) -> Header:
        """Take what is there for what everything later is compared with.

        Args:
            told: See `Policy`.

        Returns:
            The `generation`, the `tree`, and how many `entries` there are.
        """
        with self._one_at_a_time:
            self._policy = Policy(told)
            found = self._look(self._policy, is_base=True)
            self._base = found.entries
            return self._begin(found, set())

    def changes(self, since: int, send: Send) -> None:
        """Send the contents that the owner lacks, and then, as the last line, how all differs from what was marked.

        Args:
            since: The generation whose answer the owner has; what was sent after it is sent again.
            send: Takes it in pieces.

        Raises:
            ValueError: there was no such generation.
            OSError: it is more than may be.
        """
        with self._one_at_a_time:
            policy = self._required()
            if since not in (self._acknowledged, self._generation):
                raise ValueError(f"generation {since} is not known here")
            if since == self._generation:
                self._held |= self._offered
                self._acknowledged = since
            self._offered = set()
            self._generation = self._acknowledged + 1
            found = self._look(policy, is_base=False)
            changed = [name for name, entry in found.entries.items() if self._base.get(name) != entry]
            if len(changed) > policy.max_entries:
                raise OSError(errno.EFBIG, f"{len(changed)} files and folders have changed")
            sent = self._send_contents(changed, found, policy, send)
            manifest = {
                "generation": self._generation,
                "tree": found.tree(),
                "entries": [
                    {"path": name, **found.entries[name]._asdict()} for name in sorted(changed) if name in found.entries
                ],
                "removed": self._removed(found),
                "contents": sent,
                "left_out": found.left_out,
                "left_out_count": found.left_out_count,
            }
            line = b"\n" + json.dumps(manifest).encode()
            for start in range(0, len(line), CHUNK):
                send(line[start : start + CHUNK])

    def lay(self, chunks: Iterator[bytes]) -> Header:
        """Bring back what was marked as `changes` told it: a line with its entries and contents, then the contents.

        Returns:
            As `mark` does.
        """
        with self._one_at_a_time:
            policy = self._required()
            source = io.BufferedReader(Source(chunks), CHUNK)
            told = json.loads(source.readline(MAX_LINE))
            entries = {each.pop("path"): Entry(**each) for each in told["entries"]}
            Laying(self._root, self._base, entries).lay(told["removed"], told["contents"], source)
            while source.read(CHUNK):
                pass
            found = self._look(policy, is_base=False)
            return self._begin(found, {content for content, _ in told["contents"]})

    def _required(self) -> Policy:
        if self._policy is None:
            raise ValueError("the working directory was not marked")
        return self._policy

    def _begin(self, found: _Look, held: set[str]) -> Header:
        self._held, self._offered = held, set()
        self._generation += 1
        self._acknowledged = self._generation
        return {"generation": self._generation, "tree": found.tree(), "entries": len(found.entries)}

    def _removed(self, found: _Look) -> list[str]:
        """Return what was there when it was marked and is not, or is of another kind; of a whole folder its name."""
        gone: list[str] = []
        for name, entry in self._base.items():
            now = found.entries.get(name)
            if now is None or now.kind != entry.kind:
                gone.append(name)
        removed: list[str] = []
        # With the slash, what is in a folder comes right behind it.
        for name in sorted(gone, key=lambda name: name + "/"):
            if not removed or not name.startswith(removed[-1] + "/"):
                removed.append(name)
        return removed

    def _send_contents(self, changed: list[str], found: _Look, policy: Policy, send: Send) -> list[tuple[str, int]]:
        new: dict[str, str] = {}
        for name in changed:
            if found.entries[name].kind == "file" and found.entries[name].content not in self._held:
                new.setdefault(found.entries[name].content, name)
        # Before the first piece: what goes wrong later breaks the answer off, and says nothing.
        if sum(found.entries[name].size for name in new.values()) > policy.max_bytes:
            raise OSError(errno.EFBIG, "what has changed is more than may be kept")
        sent: list[tuple[str, int]] = []
        total = 0
        for name in new.values():
            entry = found.entries[name]
            path = os.path.join(self._root, unquote_to_bytes(name))
            try:
                file = _open(path)
            except OSError as error:
                # It has become something else since it was looked at.
                del found.entries[name]
                found.leave_out(path[len(self._root) + 1 :], os.strerror(error.errno or errno.EIO))
                continue
            content, size = _hash(file, send, policy.max_bytes - total)
            total += size
            sent.append((content, size))
            self._offered.add(content)
            if content != entry.content:
                # It has been written to since: what was sent is what it is.
                found.entries[name] = entry._replace(content=content, size=size)
                self._seen.pop(path, None)
        return sent

    def _look(self, policy: Policy, *, is_base: bool) -> _Look:
        found = _Look()
        racy_since = time.time_ns() - RACY_NANOSECONDS
        found.entries["."] = Entry("folder", stat.S_IMODE(os.stat(self._root).st_mode), "", 0, 0)
        folders = [(self._root, False)]
        while folders:
            folder, is_whole = folders.pop()
            try:
                with os.scandir(folder) as scan:
                    children = list(scan)
            except FileNotFoundError:
                continue
            except OSError as error:
                if folder != self._root:
                    found.entries.pop(_told(folder[len(self._root) + 1 :]), None)
                found.leave_out(folder[len(self._root) + 1 :], os.strerror(error.errno or errno.EIO))
                continue
            for child in children:
                if not is_whole and policy.excludes(child.name):
                    found.leave_out(child.path[len(self._root) + 1 :], "excluded")
                    continue
                try:
                    status = child.stat(follow_symlinks=False)
                    max_bytes = None if is_base or is_whole else policy.max_file_bytes
                    kept = self._keep(child.path, status, max_bytes, racy_since, found)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    found.leave_out(child.path[len(self._root) + 1 :], os.strerror(error.errno or errno.EIO))
                    continue
                if kept and stat.S_ISDIR(status.st_mode):
                    folders.append((child.path, is_whole or child.name == WHOLE))
        self._seen = found.seen
        return found

    def _keep(self, path: bytes, status: os.stat_result, max_bytes: int | None, racy_since: int, found: _Look) -> bool:
        """Add what is at a path to what was found; say whether it is kept."""
        signature = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        seen = self._seen.get(path)
        is_known = seen is not None and seen.signature == signature
        if seen is None or not is_known or not seen.is_sure:
            # What was kept once is no larger now.
            entry = self._read(path, status, None if is_known else max_bytes, found)
            if entry is None:
                return False
            is_sure = max(status.st_mtime_ns, status.st_ctime_ns) < racy_since
            seen = _Seen(signature, is_sure, _told(path[len(self._root) + 1 :]), entry)
        found.seen[path] = seen
        found.entries[seen.name] = seen.entry
        return True

    def _read(self, path: bytes, status: os.stat_result, max_bytes: int | None, found: _Look) -> Entry | None:
        relative = path[len(self._root) + 1 :]
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            return Entry("folder", mode, "", 0, 0)
        if stat.S_ISLNK(status.st_mode):
            return Entry("link", mode, _told(os.readlink(path)), 0, 0)
        if not stat.S_ISREG(status.st_mode):
            found.leave_out(relative, "neither a file, a folder nor a link")
            return None
        if max_bytes is not None and status.st_size > max_bytes:
            found.leave_out(relative, f"larger than {max_bytes} bytes")
            return None
        content, size = _hash(_open(path))
        # To the microsecond: what comes back through other hands is no finer.
        mtime_us = (status.st_mtime_ns + 500) // 1000
        return Entry("file", mode, content, size, mtime_us)


def _told(path: bytes) -> str:
    return quote(path, safe="/+,=@:")


def _open(path: bytes) -> int:
    # A pipe that has taken the file's place meanwhile is not waited for, and a link not followed.
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)


def _hash(file: int, send: Send | None = None, max_bytes: int | None = None) -> tuple[str, int]:
    """Return a file's SHA-256 and size, both of what was read, and sent where it is to be; close it."""
    digest = hashlib.sha256()
    size = 0
    try:
        # No further than to the end that it has now: somebody may write to it faster than it is read.
        left = os.fstat(file).st_size
        while left > 0 and (data := os.read(file, min(CHUNK, left))):
            left -= len(data)
            size += len(data)
            if max_bytes is not None and size > max_bytes:
                raise OSError(errno.EFBIG, "what has changed is more than may be kept")
            digest.update(data)
            if send is not None:
                send(data)
    finally:
        os.close(file)
    return digest.hexdigest(), size
