"""What a box costs: to have one, to run a command in it, to move files, to keep them, and to keep it.

A broker of the benchmark's own on this machine's Docker; the boxes are of the image `triptych-hands`, or of `--image`.
How many whole agents that makes a minute is in `coding_agents`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import secrets
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import coding_agents
from triptych.errors import ConfigurationError
from triptych.runtime.store import CheckpointStore
from triptych.sandbox.box import Sandbox
from triptych.sandbox.client import Client
from triptych.sandbox.folder import answers, broker_lacks, socket_path, templates_path
from triptych.sandbox.policy import ROOT, Template, save
from triptych.sandbox.snapshots import Files, SnapshotPolicy

KIND = "benchmark"
SNAPSHOT, RESTORE = "snapshot of a small change in 50 MB", "restore of it in a new box"
CHANGES = 10
"""Snapshots in each round."""
READY_SECONDS = 60.0
_MIB = 1024 * 1024


def run(*, arguments: Sequence[str], as_json: bool) -> None:
    """Measure, and print a row for each operation.

    Args:
        arguments: `--rounds N` (default 5): boxes one after the other. `--commands N` (default 200): in each of them.
            `--image NAME`. `--agents 1,4,10` (the default; '' for none): so many coding agents at once.
        as_json: Print one JSON object: `rows` (`operation`, `count`, and `p50`, `p95` and `max` in milliseconds),
            `ten_lifecycles_seconds`, `snapshot_seconds` and `restore_seconds` (p50, of a small change in a tree of 50
            MB), `broker_mib` and `idle_box_mib`, and `agents`: rows of `coding_agents.summary`.

    Raises:
        ConfigurationError: there is no Docker, or no such image.
    """
    parser = argparse.ArgumentParser(prog="triptych bench --suite sandbox")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=200)
    parser.add_argument("--image", default="triptych-hands")
    parser.add_argument("--agents", type=_numbers, default=(1, 4, 10))
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    with _broker(options.image) as (folder, broker), console.status("boxes"):
        measured = asyncio.run(_measure(folder, options.rounds, options.commands))
        measured["broker_mib"] = round(broker.memory_info().rss / _MIB, 1)
    measured["agents"] = coding_agents.measure(options.agents, console) if options.agents else []
    if as_json:
        print(json.dumps(measured))
    else:
        _print(measured)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each)


@contextmanager
def _broker(image: str) -> Generator[tuple[Path, psutil.Process]]:
    with tempfile.TemporaryDirectory(prefix="triptych-bench-") as name:
        folder = Path(name)
        if missing := broker_lacks(folder):
            raise ConfigurationError(f"the sandbox cannot be measured: {missing}")
        save(templates_path(folder), {KIND: Template(image=image, memory_mib=256, disk_mib=256)})
        with (folder / "broker.log").open("wb") as log:
            command = [sys.executable, "-m", "triptych.sandbox.serving", name]
            broker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not answers(folder):
                if broker.poll() is not None or time.monotonic() > deadline:
                    raise ConfigurationError(f"the broker did not come up:\n{(folder / 'broker.log').read_text()}")
                time.sleep(0.05)
            yield folder, psutil.Process(broker.pid)
        finally:
            broker.terminate()
            broker.wait()


async def _measure(folder: Path, rounds: int, commands: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []

    async def timed(operation: str, work: Callable[[], Awaitable[object]]) -> None:
        began = time.perf_counter()
        await work()
        rows.append({"operation": operation, "milliseconds": (time.perf_counter() - began) * 1000})

    idle: list[int] = []
    for _ in range(rounds):
        box = Sandbox.create(KIND, folder=folder)

        async def first_command(box: Sandbox = box) -> None:
            await box.__aenter__()
            await box.run(["true"])

        await timed("box ready: create to first command", first_command)
        try:
            for _ in range(commands):
                await timed("command, round trip", lambda box=box: box.run(["true"]))
            for mib in (1, 50):
                data = bytes(mib * _MIB)
                await timed(f"write {mib} MB", lambda box=box, data=data: box.workspace.write_bytes("file", data))
                await timed(f"read {mib} MB", lambda box=box: box.workspace.read_bytes("file"))
            await box.workspace.remove("file")
            idle.append(await _memory_bytes(folder))
        finally:
            await timed("end of a box", lambda box=box: box.__aexit__(None, None, None))
    began = time.perf_counter()
    await asyncio.gather(*(_lifecycle(folder) for _ in range(10)))
    lifecycles = time.perf_counter() - began
    rows += await _snapshots(folder, rounds)
    figures = {row["operation"]: row for row in summary(pd.DataFrame(rows))}
    return {
        "rows": list(figures.values()),
        "snapshot_seconds": round(figures[SNAPSHOT]["p50"] / 1000, 3),
        "restore_seconds": round(figures[RESTORE]["p50"] / 1000, 3),
        "ten_lifecycles_seconds": round(lifecycles, 2),
        "idle_box_mib": round(max(idle) / _MIB, 1),
    }


async def _snapshots(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure the files of a box: to keep a small change in a tree of 50 MB, and to have it in the next box.

    The store is a folder, as the default one is. To have a box is not part of restoring it; it has a row of its own.
    """
    rows: list[dict[str, Any]] = []

    async def timed(operation: str, work: Awaitable[object]) -> None:
        began = time.perf_counter()
        await work
        rows.append({"operation": operation, "milliseconds": (time.perf_counter() - began) * 1000})

    (folder / "objects").mkdir()
    store = CheckpointStore(location=str(folder / "objects"))
    await store.write("base.tar", tree())
    client = Client(socket_path(folder))
    try:
        name, box = None, await client.create(KIND)
        files = Files(client, store, folder="files", base="base.tar", policy=SnapshotPolicy())
        await files.restore(box, None)
        for number in range(rounds):
            # Not within the moment in which what was laid out last may still change unseen.
            await asyncio.sleep(0.1)
            for change in range(CHANGES):
                await client.put(box, "content", f"{ROOT}/src/part-{change}/file-1.py", secrets.token_bytes(2000))
                await timed(SNAPSHOT, files.save(box, f"step-{number}-{change}"))
                name = f"step-{number}-{change}"
            await client.destroy(box)
            box = await client.create(KIND)
            files = Files(client, store, folder="files", base="base.tar", policy=SnapshotPolicy())
            await timed(RESTORE, files.restore(box, name))
        await client.destroy(box)
    finally:
        await client.close()
    return rows


def tree() -> bytes:
    """Return an archive of 50 MB that is made like a repository: half of it one pack of git's, half of it files."""
    chance = random.Random(0)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        sources = [f"src/part-{part}/file-{file}.py" for part in range(100) for file in range(20)]
        for name, share in [(".git/objects/pack/pack.pack", 1), *((name, len(sources)) for name in sources)]:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = 25 * _MIB // share, 1_700_000_000
            tar.addfile(member, io.BytesIO(chance.randbytes(member.size)))
    return archive.getvalue()


async def _lifecycle(folder: Path) -> None:
    async with Sandbox.create(KIND, folder=folder) as box:
        await box.run(["python3", "-c", "print('hello')"])


async def _memory_bytes(folder: Path) -> int:
    client = Client(socket_path(folder))
    try:
        (box,) = await client.boxes(memory=True)
        return box["memory_bytes"]
    finally:
        await client.close()


def summary(operations: pd.DataFrame) -> list[dict[str, Any]]:
    """Reduce what was measured to the printed figures.

    Args:
        operations: A row for each time something was done: `operation`, `milliseconds`.

    Returns:
        A row for each operation, in the order in which they were first done.
    """
    rows: list[dict[str, Any]] = []
    for operation, group in operations.groupby("operation", sort=False):
        taken = group["milliseconds"]
        figures = {"p50": taken.quantile(0.5), "p95": taken.quantile(0.95), "max": taken.max()}
        rounded = {name: round(float(value), 2) for name, value in figures.items()}
        rows.append({"operation": operation, "count": len(group), **rounded})
    return rows


def _print(measured: dict[str, Any]) -> None:
    table = Table(title="Boxes (milliseconds)", title_justify="left")
    for column in ("operation", "count", "p50", "p95", "max"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for row in measured["rows"]:
        table.add_row(*(str(row[column]) for column in ("operation", "count", "p50", "p95", "max")))
    console = Console()
    console.print(table)
    console.print(f"ten lifecycles side by side: {measured['ten_lifecycles_seconds']} s", highlight=False)
    console.print(
        f"a small change in 50 MB: snapshot {measured['snapshot_seconds']} s, restore {measured['restore_seconds']} s",
        highlight=False,
    )
    for row in measured["agents"]:
        console.print(
            f"{row['at_once']} coding agents at once: {row['agents_per_minute']} a minute, "
            f"{row['seconds_an_agent']} s each",
            highlight=False,
        )
    console.print(
        f"memory: broker {measured['broker_mib']} MiB, an idle box {measured['idle_box_mib']} MiB", highlight=False
    )
