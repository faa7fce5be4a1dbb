"""The channel's framing, for both of its ends."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

HEAD = struct.Struct(">II")
"""Of a frame: the length of its body in bytes, and the body's CRC-32."""
META = struct.Struct(">I")
"""Of a body: the length of its JSON header; the rest is the payload."""
MAX_BODY = 256 * 1024
CHUNK = 128 * 1024

SYNC = b"\xff" * 8 + b"triptych"
"""Frames begin anew after it. No frame begins like it: it would be too long."""
PADDING = b"\xff" * MAX_BODY
"""Completes the frame of a sender that died in the middle of it, whatever its length."""

Header = dict[str, Any]


def encode(header: Header, payload: bytes = b"") -> bytes:
    """Return one frame."""
    meta = json.dumps(header, separators=(",", ":")).encode()
    body = META.pack(len(meta)) + meta + payload
    return HEAD.pack(len(body), zlib.crc32(body)) + body


class Frames:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Header, bytes]]:
        """Give the frames that are whole now.

        Raises:
            ValueError: what comes is no frame: too long, torn, or not an object.
        """
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            length, checksum = HEAD.unpack_from(self._buffer)
            if length > MAX_BODY:
                raise ValueError("a frame is too long")
            end = HEAD.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEAD.size : end])
            del self._buffer[:end]
            if len(body) < META.size or zlib.crc32(body) != checksum:
                raise ValueError("a frame is torn")
            start = META.size + META.unpack_from(body)[0]
            header = json.loads(body[META.size : start])
            if not isinstance(header, dict):
                raise ValueError("a frame's header is no object")
            yield header, body[start:]

    def skip_to_sync(self, data: bytes) -> bool:
        """Drop what cannot be read, to the next `SYNC`; say whether it has come."""
        self._buffer += data
        at = self._buffer.find(SYNC)
        if at < 0:
            del self._buffer[: max(0, len(self._buffer) - len(SYNC))]
            return False
        del self._buffer[: at + len(SYNC)]
        return True
