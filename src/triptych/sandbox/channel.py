"""The broker's end of a box's channel: many requests at once over one stream."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, NamedTuple, Protocol

from triptych.sandbox.hands.frames import CHUNK, PADDING, SYNC, Frames, Header, encode

HELLO_SECONDS = 20.0
QUEUED_FRAMES = 256


class BoxGone(Exception):
    """The channel has ended, and the box with it."""


class HandsError(Exception):
    """The box could not do what was asked.

    Attributes:
        errno: The system's number for why.
    """

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno


class Stream(Protocol):
    """The attached stdin and stdout of a container."""

    async def read_out(self) -> Any:
        """Return the next piece, with `stream` (1 or 2) and `data`; None at the end."""

    async def write_in(self, data: bytes) -> None:
        """Write to stdin."""

    async def close(self) -> None:
        """Let go of it."""


class Frame(NamedTuple):
    """One frame of an answer."""

    header: Header
    payload: bytes


class Channel:
    """Sends requests to the program in a box and hands each answer to whoever asked.

    What comes out of a box is not trusted: a frame that is none ends the channel, an answer to nobody is dropped.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Queue[Frame | None]] = {}
        self._writing = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self.complaints = b""
        """What the program in the box wrote to its stderr: why it ended, if it did."""

    async def open(self, lease_seconds: float) -> None:
        """Say hello, whatever the channel was in the middle of, and wait for the answer.

        Raises:
            BoxGone: there was none.
        """
        nonce = secrets.token_hex(16)
        expected = encode({"kind": "hello", "nonce": nonce})
        hello = encode({"kind": "hello", "nonce": nonce, "lease_seconds": lease_seconds})
        answered = asyncio.Event()
        self._reader = asyncio.create_task(self._read(expected, answered))
        await self._write(PADDING + SYNC + hello)
        gone = asyncio.create_task(self.gone.wait())
        heard = asyncio.create_task(answered.wait())
        try:
            await asyncio.wait({gone, heard}, timeout=HELLO_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            heard.cancel()
        if not answered.is_set():
            await self.close()
            raise BoxGone(self.complaints.decode(errors="replace").strip() or "the box does not answer")

    async def renew(self, lease_seconds: float) -> None:
        """Tell the box that its owner lives."""
        await self._write(encode({"kind": "lease", "seconds": lease_seconds}))

    async def ask(self, header: Header, content: AsyncIterable[bytes] | None = None) -> AsyncGenerator[Frame]:
        """Give the frames of an answer as they come, the last one of the kind `done`.

        A caller that stops before that ends the request in the box.

        Raises:
            BoxGone: the channel ended before the answer did.
            HandsError: the box could not do it.
        """
        if self.gone.is_set():
            raise BoxGone("the box is gone")
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.Queue(QUEUED_FRAMES)
        sender: asyncio.Task[None] | None = None
        is_done = False
        try:
            await self._write(encode({**header, "id": number}))
            if content is not None:
                sender = asyncio.create_task(self._send(number, content))
            while True:
                frame = await answer.get()
                if frame is None:
                    raise BoxGone("the box went away meanwhile")
                is_done = frame.header["kind"] in ("done", "error")
                if frame.header["kind"] == "error":
                    raise HandsError(int(frame.header["errno"]), str(frame.header["message"]))
                yield frame
                if is_done:
                    return
        finally:
            del self._answers[number]
            # The reader may wait for room in it.
            while not answer.empty():
                answer.get_nowait()
            if sender is not None:
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sender
            if not is_done and not self.gone.is_set():
                await self._write(encode({"id": number, "kind": "cancel"}))

    async def close(self) -> None:
        """Let go of the stream; whoever waits for an answer is told that the box is gone."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        self._end()
        with contextlib.suppress(Exception):
            await self._stream.close()

    async def _send(self, number: int, content: AsyncIterable[bytes]) -> None:
        async for data in content:
            for start in range(0, len(data), CHUNK):
                await self._write(encode({"id": number, "kind": "data"}, data[start : start + CHUNK]))
        await self._write(encode({"id": number, "kind": "end"}))

    async def _write(self, data: bytes) -> None:
        # A frame that is begun is finished. And aiohttp's writers share one future to wait for room, which the
        # cancellation of one of them would cancel for all.
        await asyncio.shield(self._write_whole(data))

    async def _write_whole(self, data: bytes) -> None:
        try:
            async with self._writing:
                await self._stream.write_in(data)
        except (AssertionError, ConnectionError, RuntimeError) as error:
            # What aiodocker says of a stream that has ended.
            self._end()
            raise BoxGone("the box is gone") from error

    async def _read(self, expected: bytes, answered: asyncio.Event) -> None:
        heard, frames = b"", Frames()
        try:
            while (piece := await self._stream.read_out()) is not None:
                data: bytes = piece.data
                if piece.stream == 2:
                    self.complaints = (self.complaints + data)[-4000:]
                    continue
                if not answered.is_set():
                    # Whatever an earlier broker had asked for ends before the answer to our hello.
                    heard += data
                    _, found, data = heard.partition(expected)
                    heard = heard[-len(expected) :]
                    if not found:
                        continue
                    answered.set()
                for header, payload in frames.feed(data):
                    answer = self._answers.get(header["id"])
                    if answer is not None:
                        await answer.put(Frame(header, payload))
        except (ValueError, KeyError, TypeError, ConnectionError, OSError) as error:
            self.complaints = (self.complaints + f"the channel broke: {error!r}".encode())[-4000:]
        finally:
            self._end()

    def _end(self) -> None:
        self.gone.set()
        for answer in self._answers.values():
            while answer.full():
                answer.get_nowait()
            answer.put_nowait(None)
