"""Ends its own process with SIGKILL at a named point of a named step, by hooks from outside: the product has none.

The points are those of `six_step_run.POINTS`. Calls that run beside the target are put into a known state first, so
that what must happen after the kill is exact: those before it in the response have their checkpoints, those behind it
have done their work and not returned.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tests.resume.six_step_run import STEPS, Kill
from triptych.loop.desk import Change, OrderDesk, Records
from triptych.loop.desk.store import Applied
from triptych.loop.witness import Witness, WitnessEvent
from triptych.runtime.checkpoints import ROOT, decode
from triptych.runtime.store import CheckpointStore

# Never reached: the harness gives up on the process long before.
_FOREVER = 600.0


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(_FOREVER)
    raise AssertionError("SIGKILL did not end this process")


class KillSwitch:
    """Knows the target, and the state of the calls beside it."""

    def __init__(self, kill: Kill | None, *, pace_seconds: float = 0.0) -> None:
        self.kill = kill
        self.pace_seconds = pace_seconds
        self.durable: set[str] = set()
        self.held: set[str] = set()

    def reach(self, key: str, point: str) -> None:
        if self.kill == (key, point):
            die()

    def line_up(self, key: str) -> None:
        """Let the target begin when the calls beside it are where they must be."""
        if self.kill is not None and self.kill.key == key:
            before, after = STEPS[key].before, STEPS[key].after
            while not (self.durable.issuperset(before) and self.held.issuperset(after)):
                time.sleep(0.005)

    def hold(self, key: str) -> None:
        """Keep a call that stands behind the target from returning."""
        if self.kill is not None and key in STEPS[self.kill.key].after:
            self.held.add(key)
            time.sleep(_FOREVER)


class SwitchedWitness(Witness):
    """Tools and model pass here on their way in and out; a tool does so in a thread of its own."""

    def __init__(self, path: Path | str, switch: KillSwitch) -> None:
        super().__init__(path)
        self._switch = switch

    def write(self, *, event: WitnessEvent, run: str, name: str, key: str) -> None:
        begins = event in ("request.started", "tool.started")
        if event == "tool.started":
            self._switch.line_up(key)
        elif event == "tool.finished":
            self._switch.hold(key)
        elif event == "request.finished":
            self._switch.reach(key, "streamed")
        if begins:
            self._switch.reach(key, "before")
        super().write(event=event, run=run, name=name, key=key)
        if begins:
            self._switch.reach(key, "inside")
            time.sleep(self._switch.pace_seconds)


class SwitchedDesk(OrderDesk):
    """The order desk, with a switch inside the transaction and right behind it."""

    def __init__(self, url: str, switch: KillSwitch, *, forgets_keys: bool = False) -> None:
        super().__init__(url)
        self._switch = switch
        self._forgets_keys = forgets_keys

    def apply(
        self, *, key: str, tool: str, arguments: Mapping[str, Any], change: Callable[[Records], Change]
    ) -> Applied:
        call = key.rpartition(":")[2]

        def watched(records: Records) -> Change:
            done = change(records)
            self._switch.reach(call, "uncommitted")
            return done

        if self._forgets_keys:
            # A backend that does not honour the key: every execution looks like a new call.
            key = f"{os.getpid()}:{key}"
        applied = super().apply(key=key, tool=tool, arguments=arguments, change=watched)
        self._switch.reach(call, "committed")
        return applied


def watch_store(switch: KillSwitch) -> None:
    """Put the switch around every checkpoint's write, in this process."""
    write = CheckpointStore.write

    async def watched(self: CheckpointStore, key: str, content: bytes) -> None:
        step = _step_of(key, content)
        if step is None:
            return await write(self, key, content)
        switch.reach(step, "answered")
        if switch.kill == (step, "writing"):
            _die_inside_the_write()
        await write(self, key, content)
        switch.durable.add(step)
        switch.reach(step, "written")

    CheckpointStore.write = watched


def _step_of(key: str, content: bytes) -> str | None:
    if not key.startswith(f"{ROOT}/"):
        return None
    checkpoint, _ = decode(key, content)
    return checkpoint.tool_call_id or f"request:{checkpoint.sequence}"


def _die_inside_the_write() -> None:
    """Die when half of the next object's bytes have left this process: for the disk, or for the S3 server."""
    fsync, send = os.fsync, socket.socket.send

    def half_a_file(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            os.ftruncate(descriptor, status.st_size // 2)
            die()
        fsync(descriptor)

    header_sent = False

    def half_a_body(self: socket.socket, data: Any, flags: int = 0) -> int:
        nonlocal header_sent
        content = bytes(data)
        if content.startswith(b"PUT /"):
            header, end, body = content.partition(b"\r\n\r\n")
            if body:
                self.sendall(header + end + body[: len(body) // 2])
                die()
            header_sent = True
        elif header_sent:
            self.sendall(content[: len(content) // 2])
            die()
        return send(self, data, flags)

    os.fsync = half_a_file
    socket.socket.send = half_a_body
