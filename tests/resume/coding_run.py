"""The coding run that is killed: what the scripted model does, and where it dies."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Literal, NamedTuple

from tests.durable_runs import calls
from triptych.loop.models import Plan

BASE = "bases/clock.tar"
HOLD = "/tmp/hold"
"""While this is there, a command stays half done; outside of the working directory, so that no box begins with it."""
NOTES = "/workspace/notes"
END = "END OF THE PATCH"
"""Behind it the shell says which process it was."""
JOBS = ".pydantic-ai-harness"
"""Where the harness's shell keeps its jobs, by process numbers that are others each time."""


def _half(done: int) -> str:
    return f"echo half {done} >> notes; while [ -e {HOLD} ]; do sleep 0.05; done; echo whole {done} >> notes"


# Each of them done twice, or from other files than those before it, leaves other files.
PLAN = Plan(
    turns=(
        calls(("shell", {"command": f"mkdir -p kept/empty; {_half(1)}; chmod 640 notes; ln -s ../notes kept/link"})),
        calls(("write_file", {"path": "clock.py", "content": "def hour(seconds):\n    return seconds // 3600\n"})),
        calls(("shell", {"command": f"rm -r old; {_half(3)}; chmod 777 run.sh; cp clock.py again.py"})),
        calls(("shell", {"command": f"git add -A . ':!{JOBS}' && git diff --cached; echo {END}"})),
    ),
    final="Mended.",
)


class Kill(NamedTuple):
    """Who dies, and where."""

    what: Literal["brain", "box", "both"]
    step: int
    """The number of the request that asked for the tool."""
    point: Literal["inside", "saved", "written"]
    """`inside`: its command is half done. `saved`: its files are kept, but no checkpoint is. `written`: both are."""

    def __str__(self) -> str:
        return "-".join(map(str, self))


KILLS = [
    *(Kill("brain", step, "inside") for step in (1, 3)),
    *(Kill("brain", step, "saved") for step in (1, 2, 3)),
    *(Kill("brain", step, "written") for step in (1, 2, 3, 4)),
    *(Kill("box", step, "inside") for step in (1, 3)),
    *(Kill("box", step, "saved") for step in (1, 2, 3)),
    Kill("both", 3, "inside"),
    Kill("both", 2, "saved"),
]


def repository(folder: Path) -> bytes:
    """Return the small repository that the run begins with, as an archive."""
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "clock.py").write_text("def hour(seconds):\n    return seconds / 60\n")
    (folder / "clock.py").write_text("def hour(seconds):\n    return seconds / 3600\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    env = {
        **os.environ,
        **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **{f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
    }
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "A clock")):
        subprocess.run(["git", *arguments], cwd=folder, env=env, check=True)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(folder, arcname=".")
    return archive.getvalue()
