"""Files and folders in the box. Whatever is asked for here reaches no further than the box."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

from triptych.sandbox.hands.frames import CHUNK

Send = Callable[[bytes], None]


def read(path: str, send: Send) -> None:
    """Send a file's content, in pieces."""
    # A pipe or a device is looked at before it is waited for.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _require_regular(file, path)
        while True:
            data = os.read(file, CHUNK)
            if not data:
                return
            send(data)
    finally:
        os.close(file)


def write(path: str, chunks: Iterator[bytes]) -> None:
    """Put what comes into a file, through a link where it is one; folders on the way are made."""
    try:
        make_dir(os.path.dirname(path))
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o666)
    try:
        _require_regular(file, path)
        os.ftruncate(file, 0)
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(file, view) :]
    finally:
        os.close(file)


def _require_regular(file: int, path: str) -> None:
    mode = os.fstat(file).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def entry(path: str) -> dict[str, Any]:
    """Return name, path, kind and size of what is there, seen through a link."""
    return _entry(path, os.stat(path))


def entries(path: str) -> list[dict[str, Any]]:
    """Return what a folder holds, by name. A link that leads nowhere, or in a circle, is an entry as well."""
    found: list[dict[str, Any]] = []
    with os.scandir(path) as scan:
        for child in sorted(scan, key=lambda child: child.name):
            try:
                found.append(_entry(child.path, child.stat()))
            except OSError:
                found.append(_entry(child.path, None))
    return found


def _entry(path: str, found: os.stat_result | None) -> dict[str, Any]:
    is_dir = found is not None and stat.S_ISDIR(found.st_mode)
    size = found.st_size if found is not None and not is_dir else None
    return {"name": os.path.basename(path), "path": path, "is_dir": is_dir, "size": size}


def make_dir(path: str) -> None:
    """Make a folder and those above it.

    Raises:
        FileExistsError: something else is there.
    """
    os.makedirs(path or "/", exist_ok=True)


def remove(path: str, root: str) -> None:
    """Remove a file, a link, or a folder with what it holds.

    Raises:
        ValueError: it is the working directory, or holds it.
    """
    if os.path.islink(path):
        os.unlink(path)
        return
    real, home = os.path.realpath(path), os.path.realpath(root)
    if home == real or home.startswith(real.rstrip("/") + "/"):
        raise ValueError(f"the working directory and what holds it are not removed: {path}")
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def pack(path: str, send: Send) -> None:
    """Send a folder as a tar archive: links as links, nothing outside the folder."""
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    with tarfile.open(fileobj=_Sink(send), mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as archive:
        archive.add(path, arcname=".")


def unpack(path: str, chunks: Iterator[bytes]) -> None:
    """Lay a tar archive out in a folder, as it is, over what is there."""
    make_dir(path)
    source = io.BufferedReader(Source(chunks), CHUNK)
    with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK) as archive:
        if hasattr(tarfile, "fully_trusted_filter"):
            # Every mode as it is: the other filters take write bits away. A path that leads out of the folder leads no
            # further than the box, where whoever sent the archive may write anyway.
            archive.extraction_filter = staticmethod(tarfile.fully_trusted_filter)
        archive.extractall(path)
    while source.read(CHUNK):
        pass


class _Sink(io.RawIOBase):
    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._send(bytes(data))
        return len(data)


class Source(io.RawIOBase):
    """What comes in pieces, as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what has come."""
        if not self._left:
            self._left = next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
