"""The program inside the box: the first process of a container of hands, driven over its stdin and stdout.

The modules of this folder are handed to the container as an argument of `python3`, so that nothing of the host is
mounted for them. They need nothing but the standard library of Python 3.9.

The code that a model wrote runs beside this program under the same user. What keeps the two apart:

- It is process 1 of its namespace: no signal sent from inside reaches it, SIGKILL and SIGSTOP included.
- It is not dumpable: nobody inside may trace it, or open its memory, its environment or its end of the channel.
- A command's output travels as the payload of frames; nothing that a command prints is read as a frame.
- It ends by itself when its lease runs out, whatever became of the broker; and with it everything in the box ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import queue
import selectors
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from triptych.sandbox.hands import files
from triptych.sandbox.hands.frames import CHUNK, Frames, Header, encode
from triptych.sandbox.hands.processes import Children, Lease, end_tree
from triptych.sandbox.hands.snapshots import Snapshots
from triptych.sandbox.hands.tunnel import Tunnel

QUEUED_CHUNKS = 64
DRAIN_SECONDS = 0.5
"""How long the output of a command that has ended is still read, where somebody else holds it open."""
LOOK_SECONDS = 0.05
ENTRIES_A_FRAME = 200
PR_SET_DUMPABLE = 4


class Job:
    """One request that is being worked on."""

    def __init__(self, send: Callable[[Header, bytes], None]) -> None:
        self.send = send
        self.inbox: queue.Queue[bytes | None] = queue.Queue(QUEUED_CHUNKS)
        self.is_cancelled = False
        self.pid: int | None = None

    def send_data(self, data: bytes) -> None:
        """Send a piece of what was asked for.

        Raises:
            OSError: nobody wants it any more.
        """
        if self.is_cancelled:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        self.send({"kind": "data"}, data)

    def chunks(self) -> Iterator[bytes]:
        """Give what the broker sends for this request, to its end."""
        while True:
            chunk = self.inbox.get()
            if chunk is None:
                return
            yield chunk


class Hands:
    """Carries out what the broker asks for, each request in a thread of its own."""

    def __init__(self, root: str, env: dict[str, str], out: BinaryIO) -> None:
        self._root = root
        self._env = env
        self._out = out
        self._out_lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._children = Children()
        self._snapshots = Snapshots(root)

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send one frame, whole, to the broker."""
        frame = encode(header, payload)
        with self._out_lock:
            self._out.write(frame)
            self._out.flush()

    def take(self, header: Header, payload: bytes) -> None:
        """Begin a request, or go on with one."""
        number, kind = header["id"], header["kind"]
        job = self._jobs.get(number)
        if kind not in ("data", "end", "cancel"):
            self._begin(number, header)
        elif job is not None and kind == "cancel":
            self._cancel(job)
        elif job is not None:
            job.inbox.put(payload if kind == "data" else None)

    def forget_all(self) -> None:
        """End what a broker asked for that is not there any more; nobody waits for it."""
        for job in list(self._jobs.values()):
            self._cancel(job)

    def _begin(self, number: int, header: Header) -> None:
        job = Job(lambda header, payload=b"": self.send({"id": number, **header}, payload))
        self._jobs[number] = job
        try:
            threading.Thread(target=self._work, args=(number, header, job), daemon=True).start()
        except RuntimeError:
            del self._jobs[number]
            job.send({"kind": "error", "errno": errno.EAGAIN, "message": "the box has no room for a thread"}, b"")

    def _cancel(self, job: Job) -> None:
        job.is_cancelled = True
        if job.pid is not None:
            end_tree(job.pid, self._children)
        with contextlib.suppress(queue.Full):
            job.inbox.put_nowait(None)

    def _work(self, number: int, header: Header, job: Job) -> None:
        try:
            answer = {"kind": "done", **self._carry_out(header, job)}
        except OSError as error:
            answer = {"kind": "error", "errno": error.errno or errno.EIO, "message": str(error)[:2000]}
        except (ValueError, LookupError, TypeError, tarfile.TarError) as error:
            answer = {"kind": "error", "errno": errno.EINVAL, "message": str(error)[:2000]}
        except MemoryError:
            answer = {"kind": "error", "errno": errno.ENOMEM, "message": os.strerror(errno.ENOMEM)}
        del self._jobs[number]
        # The reader may wait for room for what nobody takes any more.
        with contextlib.suppress(queue.Empty):
            while True:
                job.inbox.get_nowait()
        job.send(answer, b"")

    def _carry_out(self, header: Header, job: Job) -> Header:
        kind, path = header["kind"], header.get("path", "")
        if kind == "run":
            return self._run(header, job)
        if kind == "read":
            files.read(path, job.send_data)
        elif kind == "write":
            files.write(path, job.chunks())
        elif kind == "stat":
            return {"entry": files.entry(path)}
        elif kind == "list":
            found = files.entries(path)
            for start in range(0, len(found), ENTRIES_A_FRAME):
                job.send_data(json.dumps(found[start : start + ENTRIES_A_FRAME]).encode() + b"\n")
        elif kind == "make_dir":
            files.make_dir(path)
        elif kind == "remove":
            files.remove(path, self._root)
        elif kind == "exists":
            return {"exists": os.path.exists(path)}
        elif kind == "realpath":
            return {"path": os.path.realpath(path)}
        elif kind == "pack":
            files.pack(path, job.send_data)
        elif kind == "unpack":
            files.unpack(path, job.chunks())
        elif kind == "mark":
            return self._snapshots.mark(header["policy"])
        elif kind == "changes":
            self._snapshots.changes(header["since"], job.send_data)
        elif kind == "lay":
            return self._snapshots.lay(job.chunks())
        else:
            raise ValueError(f"unknown request: {kind!r}")
        return {}

    def _run(self, header: Header, job: Job) -> Header:
        program = header["argv"][0]
        try:
            process = self._children.start(header["argv"], {**self._env, **header["env"]}, self._root)
        except (FileNotFoundError, PermissionError) as error:
            if not os.path.isdir(self._root):
                raise
            is_missing = isinstance(error, FileNotFoundError)
            job.send({"kind": "out", "stream": 2}, (f"{program}: {error.strerror}\n").encode(errors="replace"))
            return {"exit_code": 127 if is_missing else 126, "ended_by": "itself"}
        job.pid = process.pid
        try:
            return self._follow(header, job, process)
        finally:
            for pipe in (process.stdout, process.stderr):
                pipe.close()  # type: ignore[union-attr]
            self._children.forget(process)

    def _follow(self, header: Header, job: Job, process: subprocess.Popen[bytes]) -> Header:
        """Send a command's output until it has ended, and end it where its time or its output is over."""
        began = heard = time.monotonic()
        due = began + header["timeout"] if header["timeout"] is not None else float("inf")
        idle = header["idle"] if header["idle"] is not None else float("inf")
        drained = float("inf")
        left = header["max_output"]
        ended_by = "itself"
        with selectors.DefaultSelector() as selector:
            for stream, pipe in ((1, process.stdout), (2, process.stderr)):
                selector.register(pipe, selectors.EVENT_READ, stream)  # type: ignore[arg-type]
            while True:
                now = time.monotonic()
                code = self._children.status(process.pid)
                if code is not None:
                    drained = min(drained, now + DRAIN_SECONDS)
                    if not selector.get_map() or now >= drained:
                        return {"exit_code": code, "ended_by": ended_by}
                elif ended_by == "itself":
                    if job.is_cancelled:
                        ended_by = "cancel"
                    elif now >= due:
                        ended_by = "timeout"
                    elif now >= heard + idle:
                        ended_by = "idle"
                if code is None and ended_by != "itself":
                    end_tree(process.pid, self._children)
                if not selector.get_map():
                    self._children.wait(process.pid, LOOK_SECONDS)
                    continue
                for key, _ in selector.select(max(0.0, min(LOOK_SECONDS, due - now))):
                    data = os.read(key.fd, CHUNK)
                    heard = time.monotonic()
                    if not data:
                        selector.unregister(key.fileobj)
                    elif left >= 0:
                        job.send({"kind": "out", "stream": key.data}, data[:left])
                        left -= len(data)
                        if left < 0:
                            ended_by = "output"


def _be_left_alone() -> None:
    # Python's own answer to SIGINT would let it through to process 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def serve(config: dict[str, Any]) -> None:
    """Serve the broker at the other end of stdin and stdout until the lease runs out.

    Args:
        config: `root` (the working directory), `env` (of every command), `lease_seconds` and `lifetime_seconds`,
            and `door` (the socket to the proxy, or None).
    """
    _be_left_alone()
    lease = Lease(config["lease_seconds"], config["lifetime_seconds"])
    if config.get("door"):
        # Its thread too is there before any command is.
        Tunnel(config["door"]).start()
    # The channel is this program's alone; descriptors 0 and 1 lead elsewhere.
    channel_in, channel_out = os.dup(0), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    hands = Hands(config["root"], {**os.environ, **config["env"]}, channel_out)
    for header, payload in _requests(channel_in):
        if header["kind"] == "hello":
            # A broker that is new here numbers its requests from the beginning.
            hands.forget_all()
            lease.renew(header["lease_seconds"])
            hands.send({"kind": "hello", "nonce": header["nonce"]})
        elif header["kind"] == "lease":
            lease.renew(header["seconds"])
        else:
            hands.take(header, payload)


def _requests(channel: int) -> Iterator[tuple[Header, bytes]]:
    """Give what the broker asks for; a broker may die in the middle of a frame, and the next one begins with `SYNC`."""
    frames, is_lost = Frames(), False
    while data := os.read(channel, CHUNK):
        while True:
            if is_lost:
                if not frames.skip_to_sync(data):
                    break
                is_lost, data = False, b""
            try:
                yield from frames.feed(data)
                break
            except ValueError:
                is_lost, data = True, b""
