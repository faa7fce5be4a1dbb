"""What a result has to say of itself: machine, versions, commit, seed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from benchmarks.arms import load_arm
from benchmarks.harness.profiles import PACE, TIME_SCALE, Profile
from benchmarks.scoring import BENCHMARK_VERSION
from benchmarks.workloads import retail

PACKAGES = (
    "prefect",
    "pydantic-ai-slim",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "langchain-openai",
    "dbos",
    "openai",
    "genai-prices",
)


def about(
    profile: Profile, name: str, seed: int, project: Path, command: str, *, tau: Path | None = None
) -> dict[str, Any]:
    """Describe a run, for `about.json` and the page.

    Args:
        profile: What is run.
        name: The profile's.
        seed: Of items and plans.
        project: The checkout.
        command: What repeats it.
        tau: The public tasks that take the samples' place.

    Raises:
        ConfigurationError: the public tasks cannot be read.
    """
    return {
        "benchmark_version": BENCHMARK_VERSION,
        "profile": name,
        "seed": seed,
        "rounds": profile.rounds,
        "planned": profile.planned(),
        "tau": None if tau is None else {"path": str(tau), "sha256": _digest(tau)},
        "arms": {arm: {"tuned_by": list(load_arm(arm).TUNED_BY)} for arm in profile.arms},
        "time_scale": TIME_SCALE,
        "pace": PACE.model_dump(),
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {"python": platform.python_version()} | {each: _version(each) for each in PACKAGES},
        "commit": _git(project, "rev-parse", "HEAD"),
        "is_clean": _git(project, "status", "--porcelain") == "",
        "command": command,
    }


def _digest(tau: Path) -> str:
    """Return what tells whether two runs were given the same tasks, wherever these lay."""
    return sha256("\n".join(item.model_dump_json() for item in retail.from_tau(tau)).encode()).hexdigest()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(project: Path, *arguments: str) -> str | None:
    """Return what git says; None where this is no checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
