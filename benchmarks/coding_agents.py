"""How many coding agents a machine serves: whole tasks a minute, so many at once.

Each is a run of `fix-task-in-docker` on a stack of the benchmark's own (server on SQLite): its loop in a container, the
code in boxes, its tests before and after, its patch on a branch. The model is the scripted one and answers at once, so
this is what Triptych, Prefect and Docker take; a real model's minutes come on top and cost no processor.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from rich.console import Console

from triptych.errors import ConfigurationError, TriptychError
from triptych.fixes import FixTask
from triptych.runtime.project import find_project
from triptych.runtime.stack import Stack, brains_lack, environment, start, stop
from triptych.samples.coding import load_suite
from triptych.settings import Settings

SAMPLE = "off-by-one"
COLUMNS = ("at_once", "run", "began", "ended")


def measure(at_once: Sequence[int], console: Console) -> list[dict[str, Any]]:
    """Have so many tasks worked on at once, one batch after the other, and return a row for each of these numbers.

    Args:
        at_once: Tasks of each batch; at most ten of them run at a time.
        console: Says what is under way.

    Raises:
        ConfigurationError: what containers for loops need is not here.
        TriptychError: a task came to nothing.
    """
    with tempfile.TemporaryDirectory(prefix="triptych-bench-") as name:
        folder = Path(name)
        brain = Settings().brain.model_copy(update={"network": "none"})
        settings = Settings(model="scripted", home=folder, desk_url=f"sqlite:///{folder / 'desk.sqlite'}", brain=brain)
        if lacking := brains_lack(settings):
            raise ConfigurationError(f"agents work in containers: {lacking}. Without: --agents ''")
        (sample,) = load_suite(folder / "repositories", [SAMPLE])
        for name, value in {"user.name": "The benchmark", "user.email": "benchmark@example.invalid"}.items():
            subprocess.run(["git", "-C", sample.task.repository, "config", name, value], check=True)
        project = find_project(None)
        try:
            told = {"TRIPTYCH_MODEL": "scripted", "TRIPTYCH_BRAIN__NETWORK": "none"}
            stack = start(settings, project, extra=told, say=console.print)
            # The first containers of a machine take longer than all that follow.
            _batch(stack, settings, sample.task, ["warm-up"])
            runs = [
                {"at_once": count, **row}
                for count in at_once
                for row in _batch(stack, settings, sample.task, [f"of-{count}-{each}" for each in range(count)])
            ]
        finally:
            stop(settings)
    return summary(pd.DataFrame(runs, columns=list(COLUMNS)))


def summary(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Reduce runs to the printed figures.

    Args:
        runs: A row a run: `at_once`, `run`, and `began` and `ended`, in seconds.

    Returns:
        A row for each `at_once`: `agents_per_minute`, from the first one's start to the last one's end, and
        `seconds_an_agent`, the median from a run's start to its end.
    """
    rows: list[dict[str, Any]] = []
    for at_once, group in runs.groupby("at_once", sort=False):
        seconds = group["ended"].max() - group["began"].min()
        rows.append(
            {
                "at_once": int(at_once),  # pyright: ignore[reportArgumentType]
                "agents_per_minute": round(60 * len(group) / seconds, 1),
                "seconds_an_agent": round(float((group["ended"] - group["began"]).median()), 1),
            }
        )
    return rows


def _batch(stack: Stack, settings: Settings, task: FixTask, names: Sequence[str]) -> list[dict[str, Any]]:
    tasks = [task.model_copy(update={"name": name, "approve": False}) for name in names]
    file = settings.folder / "tasks.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"tasks": [each.model_dump(mode="json", exclude_defaults=True) for each in tasks]}))
    env = {
        **os.environ,
        **environment(stack.api_url, stack.prefect_home),
        "TRIPTYCH_HOME": str(settings.folder),
        "TRIPTYCH_MODEL": "scripted",
    }
    command = [sys.executable, "-m", "triptych", "fix", str(file), "--json"]
    done = subprocess.run(command, cwd=stack.project, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TriptychError(f"`triptych fix` came to nothing:\n{(done.stderr or done.stdout).strip()[-4000:]}")
    rows = json.loads(done.stdout)["rows"]
    return [_times(stack, row["flow_run_id"]) for row in rows]


def _times(stack: Stack, run: str) -> dict[str, Any]:
    found = httpx.get(f"{stack.api_url}/flow_runs/{run}", timeout=60).json()
    began, ended = (datetime.fromisoformat(found[name]).timestamp() for name in ("created", "end_time"))
    return {"run": run, "began": began, "ended": ended}
