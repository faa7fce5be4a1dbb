"""The benchmark as a flow run: in a process of its own, its report as artifacts on the run's page.

In a process of its own, because a flow run's process belongs to the Prefect server that runs it, by its environment and
by Prefect's background threads, and the arms bring servers of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.context import FlowRunContext

from benchmarks.harness.surroundings import without_settings
from triptych.errors import TriptychError
from triptych.records import BenchmarkReport
from triptych.settings import Settings

RESULTS = Path("bench-results")
"""Below the project."""


async def measure(profile: str, arms: Sequence[str], seed: int) -> BenchmarkReport:
    """Run the benchmark from inside a flow, and publish what it says.

    Args:
        profile: `smoke` or `full`.
        arms: Which architectures; none: those of the profile.
        seed: Of items and fault plans.

    Returns:
        Where the whole report is, and its measures.

    Raises:
        TriptychError: it came to nothing; carries the end of what it said.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    name = f"{profile}-{seed}" if run is None else f"{profile}-{seed}-{str(run.id)[:8]}-{run.run_count}"
    project = Settings().project.absolute()
    out = project / RESULTS / name
    command = [sys.executable, "-m", "triptych", "bench", "--project", str(project), "--json"]
    command += ["--profile", profile, "--seed", str(seed), "--out", str(out)]
    command += ["--arms", ",".join(arms)] if arms else []
    said = json.loads(await _run(command, project))
    report = (out / "report.md").read_text(encoding="utf-8")
    await acreate_markdown_artifact(report, description=f"Architectures side by side ({profile}, seed {seed})")
    rows: list[dict[str, Any]] = said["measures"]
    await acreate_table_artifact(rows, description="Every measure, by arm, workload and fault plan")
    return BenchmarkReport(profile=profile, seed=seed, folder=str(out), measures=tuple(rows))


async def _run(command: Sequence[str], folder: Path) -> bytes:
    """Run a command with its progress in the run's log; return what it printed."""
    logger = get_run_logger()
    env = without_settings(os.environ)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    last: list[str] = []

    async def tell(stream: asyncio.StreamReader) -> None:
        async for line in stream:
            text = line.decode(errors="replace").rstrip()
            last[:] = [*last[-19:], text]
            logger.info("%s", text)

    try:
        printed, _ = await asyncio.gather(process.stdout.read(), tell(process.stderr))
        code = await process.wait()
    except BaseException:
        # Cancelled: SIGTERM has it take its arms down.
        if process.returncode is None:
            process.terminate()
            await process.wait()
        raise
    if code != 0:
        raise TriptychError("the benchmark came to nothing:\n" + "\n".join(last))
    return printed
