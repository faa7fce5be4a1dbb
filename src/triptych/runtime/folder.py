"""Checkpoints in a folder on a disk."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import anyio.to_thread
from typing_extensions import override

from triptych.runtime.backends import PASSING_NUMBERS, Backend, safe_key, unavailable


class FolderBackend(Backend):
    """A folder on a disk. A write is a new file, flushed to the disk, then renamed: the old bytes or the new ones."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).expanduser().absolute()

    @property
    @override
    def place(self) -> str:
        return str(self.folder)

    @override
    def is_passing(self, error: BaseException) -> bool:
        cause = error.__cause__
        return isinstance(cause, OSError) and cause.errno in PASSING_NUMBERS

    @override
    async def read(self, key: str) -> bytes | None:
        return await anyio.to_thread.run_sync(self._read, safe_key(key))

    @override
    async def write(self, key: str, content: bytes) -> None:
        await anyio.to_thread.run_sync(self._write, safe_key(key), content)

    @override
    async def keys(self, prefix: str) -> list[str]:
        return await anyio.to_thread.run_sync(self._keys, safe_key(prefix))

    @override
    async def remove(self, key: str) -> None:
        await anyio.to_thread.run_sync(self._remove, safe_key(key))

    def _read(self, key: str) -> bytes | None:
        with self._failures():
            self._require_folder()
            try:
                return (self.folder / key).read_bytes()
            except FileNotFoundError:
                return None

    def _write(self, key: str, content: bytes) -> None:
        path = self.folder / key
        with self._failures():
            self._require_folder()
            self._make_folders(path.parent)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
            try:
                with temporary.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def _keys(self, prefix: str) -> list[str]:
        with self._failures():
            self._require_folder()
            found: list[str] = []
            if not (self.folder / prefix).is_dir():
                return found
            for base, _, files in os.walk(self.folder / prefix, onerror=_raise):
                relative = Path(base).relative_to(self.folder)
                found.extend((relative / name).as_posix() for name in files if not name.startswith("."))
            return found

    def _remove(self, key: str) -> None:
        with self._failures():
            self._require_folder()
            (self.folder / key).unlink(missing_ok=True)

    def _require_folder(self) -> None:
        # A disk that is not mounted must not look like a store without checkpoints, nor be written beside.
        if not self.folder.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, f"the folder does not exist; make it with mkdir -p {self.folder}, or mount its disk"
            )

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        # A new folder is durable once the folder that names it is.
        _sync_folder(folder.parent)

    @contextmanager
    def _failures(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise unavailable(self.place, error.strerror or str(error)) from error


def _raise(error: OSError) -> NoReturn:
    # What cannot be listed must not look empty.
    raise error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
