"""What a checkpoint store's storage must do: a folder (`folder`) or an S3-compatible bucket (`s3`) behind one protocol.

Three answers are kept apart: the bytes, None (there is no such object), and `CheckpointStoreUnavailable`.
"""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import PurePosixPath
from typing import Protocol

from triptych.errors import CheckpointStoreUnavailable, ConfigurationError

PASSING_NUMBERS = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT})
"""Failures of the operating system that pass by themselves."""


class Backend(Protocol):
    """What a storage must do. Keys are relative POSIX paths."""

    async def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        ...

    async def write(self, key: str, content: bytes) -> None:
        """Write an object whole, and return once it is durable."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """List the keys below `prefix/`."""
        ...

    async def remove(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""
        ...

    @property
    def place(self) -> str:
        """Where this is, without credentials."""
        ...

    def is_passing(self, error: BaseException) -> bool:
        """Whether a failure is one that passes: a server restarted, overloaded or out of reach.

        A wrong secret, a missing bucket or folder and a full or read-only disk wait for a person, not for a moment.
        """
        ...


async def check_by_use(backend: Backend) -> None:
    """Write, read back, list and delete an object of its own; see `CheckpointStore.check`."""
    key, content = f"checks/{uuid.uuid4().hex}", os.urandom(64).hex().encode()
    await backend.write(key, content)
    if await backend.read(key) != content or key not in await backend.keys("checks"):
        raise CheckpointStoreUnavailable(
            f"checkpoint store {backend.place}: what was written does not come back",
            store=backend.place,
            reason="read differs",
        )
    await backend.remove(key)


def safe_key(key: str) -> str:
    """Return `key`, or refuse one that would leave the store's folder."""
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in key:
        raise ConfigurationError(f"checkpoint key {key!r} is not a relative path inside the store")
    return path.as_posix()


def unavailable(place: str, reason: str) -> CheckpointStoreUnavailable:
    """Return the error that names a store and what its storage said."""
    return CheckpointStoreUnavailable(
        f"checkpoint store {place}: {reason}. Mend it and run again: the run goes on from its last checkpoint",
        store=place,
        reason=reason,
    )
