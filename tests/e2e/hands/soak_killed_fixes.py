"""Kill brain, hands and both at every step of a fix: `python -m tests.e2e.hands.soak_killed_fixes`.

It needs Docker and both images. What came of each kill is written down with the commit; the exit code is 1 when a task
came to another end than the one that was left alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.components.sandbox import BRAIN_IMAGE
from tests.e2e.hands.killed_fixes import KILLS, UNDISTURBED, differences, run_kills
from tests.resume.soak import circumstances, write_report

RESULTS = Path(__file__).with_name("results")


def main() -> int:
    """Run them all, and write down what came of each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=RESULTS / "killed-fixes.json")
    told = arguments.parse_args()
    began, where = time.monotonic(), circumstances("none: every kill is taken, in a fixed order")
    with tempfile.TemporaryDirectory(prefix="triptych-soak-") as name:
        ended = run_kills(Path(name), BRAIN_IMAGE, KILLS)
    rows = [
        {
            "killed": kill.what,
            "during": kill.point,
            "executions": ended[kill].executions,
            "executed_again": ended[kill].executed_again,
            "differences": differences(kill, ended[kill], ended[UNDISTURBED]),
        }
        for kill in KILLS
    ]
    report = {
        "kills": len(rows),
        "failed": sum(bool(row["differences"]) for row in rows),
        "completed_steps_executed_again": sum(ended[kill].executed_again for kill in KILLS),
        "seconds": round(time.monotonic() - began),
        **where,
    }
    write_report(told.out, report, rows)
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
