"""The processes in the box: those that were asked for, and what they left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time

LAST_OUT_OF_MEMORY = 1000
"""The kernel's score for what is ended first where memory runs out."""
LOOK_SECONDS = 0.01
SWEEP_SECONDS = 5.0
"""How long what forks is stopped process by process before everything is ended."""


class Lease:
    """Ends the box when it is not renewed in time, and at the end of its life."""

    def __init__(self, seconds: float, lifetime_seconds: float) -> None:
        self._end = time.monotonic() + lifetime_seconds
        self._due = time.monotonic() + seconds
        # Before any command: one that fills the box with processes leaves no room for a thread.
        threading.Thread(target=self._watch, daemon=True).start()

    def renew(self, seconds: float) -> None:
        """Put the end off to so many seconds from now; never past the end of its life."""
        self._due = time.monotonic() + seconds

    def _watch(self) -> None:
        while time.monotonic() < min(self._due, self._end):
            time.sleep(0.5)
        os._exit(0)


class Children:
    """Reaps every child of process 1: the commands, and whatever they left behind."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[int, int | None] = {}
        self.sessions: dict[int, float] = {}
        """When each command began, by its session: its own process's id."""
        threading.Thread(target=self._reap, daemon=True).start()

    def start(self, argv: list[str], env: dict[str, str], folder: str) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, stdin at its end."""
        with self._changed:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            self._running[process.pid] = None
            self.sessions[process.pid] = _started(process.pid)
            self._changed.notify_all()
        # Where memory runs out, a command is ended and never this program.
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/oom_score_adj", "w") as score:
            score.write(str(LAST_OUT_OF_MEMORY))
        return process

    def status(self, pid: int) -> int | None:
        """Return a command's exit code as a shell gives it, or None while it runs."""
        return self._running.get(pid)

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Keep its status no longer."""
        with self._changed:
            # Never waited for by Popen: its id may be another's by then.
            process.returncode = self._running.pop(process.pid, None) or 0

    def wait(self, pid: int, seconds: float) -> None:
        """Wait until a command has ended, or so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._running.get(pid) is not None, seconds)

    def is_command(self, pid: int) -> bool:
        """Whether it was asked for, and is not what a command left behind."""
        return pid in self._running

    def seen(self) -> dict[int, tuple[int, int, float] | None]:
        """Return parent, session and start, in ticks, of every process there is; None where it has just ended."""
        # Not amid the start of a command, which until then looks like what another one left behind.
        with self._changed:
            return {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                with self._changed:
                    # One may have been started since.
                    self._changed.wait_for(lambda: None in self._running.values(), 1.0)
                continue
            with self._changed:
                if pid in self._running:
                    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                    self._running[pid] = code if code >= 0 else 128 - code
                    self._changed.notify_all()


def _stat(pid: int) -> tuple[int, int, float] | None:
    """Return the parent, the session and the start, in ticks, of a process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[3]), float(fields[19])


def _started(pid: int) -> float:
    found = _stat(pid)
    return found[2] if found else 0.0


def _tree(root: int, children: Children, since: float) -> set[int]:
    """Return a command's processes: its descendants, and those of them that were made orphans meanwhile."""
    known = children.seen()
    found = {root} & known.keys()
    # Anywhere else the first process, and its children, are not ours.
    is_first = os.getpid() == 1

    def is_orphan_of_it(pid: int, parent: int, session: int, start: float) -> bool:
        # One that kept the session of another command is that one's.
        ours = session == root or session not in children.sessions
        return is_first and parent == 1 and pid != 1 and not children.is_command(pid) and ours and start >= since

    grown = True
    while grown:
        grown = False
        for pid, entry in known.items():
            if entry is not None and pid not in found and (entry[0] in found or is_orphan_of_it(pid, *entry)):
                found.add(pid)
                grown = True
    return found


def end_tree(root: int, children: Children) -> None:
    """End a command and all that it started, whatever it forks meanwhile too, and wait until that is gone."""
    since = children.sessions.get(root, 0.0)
    stopped: set[int] = set()
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline:
        found = _tree(root, children, since)
        if not found:
            return
        new = found - stopped
        # What is stopped forks no more, and what it has forked is found the next time round.
        for pid in new or found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP if new else signal.SIGKILL)
        stopped |= new
        if not new:
            time.sleep(LOOK_SECONDS)
    if os.getpid() == 1:
        # It forks faster than it is stopped: everything in the box ends but this program.
        os.kill(-1, signal.SIGKILL)
