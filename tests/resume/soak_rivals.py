"""Have two executions contend for a run, a hundred times: `python -m tests.resume.soak_rivals`.

The exit code is 1 when anything was not as it must be; the file in `results` says what, for each trial.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.resume.arena import STORES, Arena, Outcome
from tests.resume.rivals import Trial, contended, faults, trials
from tests.resume.six_step_run import EFFECTS
from tests.resume.soak import RESULTS, arena_of_its_own, circumstances, write_report


def main() -> int:
    """Run the trials, one after the other: two processes each are as many as a small machine has cores."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=int(os.environ.get("TRIPTYCH_SEED", "0")))
    arguments.add_argument("--out", type=Path, default=RESULTS / "rivals.json")
    told = arguments.parse_args()
    began, where = time.monotonic(), circumstances(told.seed)
    with arena_of_its_own() as arena:
        undisturbed = arena.undisturbed("folder")
        rows = [
            _row(arena, STORES[number % len(STORES)], trial, undisturbed)
            for number, trial in enumerate(trials(told.seed, told.trials))
        ]
    report = {
        "trials": len(rows),
        "failed": sum(bool(row["faults"]) for row in rows),
        "effects_doubled_or_lost": sum(row.get("effects_doubled_or_lost", 0) for row in rows),
        "steps_taken_by_both": dict(sorted(Counter(str(len(row.get("taken_by_both", ()))) for row in rows).items())),
        "seconds": round(time.monotonic() - began),
        **where,
    }
    write_report(told.out, report, rows)
    return 1 if report["failed"] else 0


def _row(arena: Arena, store: str, trial: Trial, undisturbed: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"store": store, **trial._asdict()}
    try:
        outcome, started = contended(arena, store, trial)
    except AssertionError as error:
        return row | {"faults": [str(error)]}
    return row | {
        "taken_by_both": sorted(key for key, times in started.items() if times > 1),
        "effects_doubled_or_lost": sum(abs(outcome.effects.get(call, 0) - 1) for call in EFFECTS),
        "faults": faults(outcome, started, undisturbed),
    }


if __name__ == "__main__":
    raise SystemExit(main())
