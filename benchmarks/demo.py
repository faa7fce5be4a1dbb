"""What `triptych demo` takes: seconds, and the memory and CPU of all its processes together.

Memory is the sum of the processes' proportional set sizes (shared pages counted once, spread over their users), sampled
four times a second; a peak between two samples is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import psutil
from rich.console import Console

SAMPLE_SECONDS = 0.25
KINDS = ("server", "worker", "recover", "inbox", "blocks", "deploy", "engine", "demo")
"""Words of a command line that tell the demo's processes apart; the first that is found counts."""


def run(*, arguments: Sequence[str], as_json: bool) -> None:
    """Run the demo and print what it took.

    Args:
        arguments: None are known.
        as_json: Print one JSON object: `seconds` and `result` as the demo reports them, `peak_memory_mib`,
            `cpu_seconds` and `cpu_seconds_by_kind`.
    """
    argparse.ArgumentParser(prog="triptych bench --suite demo").parse_args(arguments)
    command = [sys.executable, "-m", "triptych", "demo", "--exit", "--json"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak, cpu = 0, dict[int, tuple[str, float]]()
    watched = psutil.Process(demo.pid)
    while demo.poll() is None:
        peak = max(peak, _sample(watched, cpu))
        time.sleep(SAMPLE_SECONDS)
    said, _ = demo.communicate()
    by_kind: dict[str, float] = {}
    for kind, seconds in cpu.values():
        by_kind[kind] = round(by_kind.get(kind, 0.0) + seconds, 1)
    result: dict[str, Any] = json.loads(said)
    figures = {
        "seconds": result["seconds"],
        "peak_memory_mib": round(peak / 2**20),
        "cpu_seconds": round(sum(seconds for _, seconds in cpu.values()), 1),
        "cpu_seconds_by_kind": by_kind,
        "result": result,
    }
    if as_json:
        print(json.dumps(figures))
    else:
        Console().print_json(data=figures)


def _sample(root: psutil.Process, cpu: dict[int, tuple[str, float]]) -> int:
    """Note each process's CPU seconds so far, and return the bytes that all of them hold."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
            times, words = process.cpu_times(), " ".join(process.cmdline())
        except psutil.Error:
            continue  # it ended meanwhile
        kind = next((kind for kind in KINDS if f" {kind}" in words or f".{kind}" in words), "other")
        cpu[process.pid] = (kind, times.user + times.system)
    return total
