"""Code that a model wrote: the tool for it, and how arms without a sandbox run it, on the machine that they run on.

That is a process of its own, in a folder of the run's own, with a time limit and without the arm's environment: what a
careful engineer adds. It is no isolation: the process is the arm's own user, with its files and its network.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.arms.protocol import MARK
from benchmarks.shop import ToolSpec

NAME = "run_python"
SPEC = ToolSpec(
    name=NAME,
    description="Run Python. It tells what the code printed. Files in the working folder stay for later calls.",
    parameters={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "A whole program."}},
        "required": ["code"],
        "additionalProperties": False,
    },
    changes=False,
)
"""No effect at the shop: what it leaves are files, which are the run's own."""
TAKEN = "http://taken.invalid"
"""In a program of a workload's: where it takes what it finds. The world puts its own address there, item by item."""
SECONDS = 30.0
"""How long a program may take."""


def run_here(code: str, folder: Path) -> str:
    """Run a program on this machine; return what the model is told of it.

    Args:
        code: The program.
        folder: The run's own, made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The mark is the harness's: it goes where the arm's processes are, and says nothing.
    env = {name: os.environ[name] for name in ("PATH", MARK) if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Error: not done after {SECONDS:g} s"
    return told(done.returncode, done.stdout, done.stderr)


def told(exit_code: int, stdout: str, stderr: str) -> str:
    """Return what the model is told of a program that has ended: what it printed, or why it failed."""
    return stdout if exit_code == 0 else f"Error: it ended with {exit_code}\n{stderr}"
