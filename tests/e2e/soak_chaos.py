"""Run `triptych chaos` with many tickets and kills on Postgres and S3: `python -m tests.e2e.soak_chaos`.

What it prints is written down with seed and commit; the exit code is 1 when anything was not clean.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from tests.components import locate
from tests.components.postgres import Postgres
from tests.components.s3 import S3Server
from tests.e2e.chaos import run_chaos
from tests.resume.soak import circumstances

RESULTS = Path(__file__).with_name("results")


def main() -> int:
    """Run it, and write down what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tickets", type=int, default=50)
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=int(os.environ.get("TRIPTYCH_SEED", "0")))
    arguments.add_argument("--timeout-seconds", type=float, default=3600.0)
    arguments.add_argument("--out", type=Path, default=RESULTS / "chaos.json")
    told = arguments.parse_args()
    programs, rclone = locate.postgres(), locate.rclone()
    if programs is None or rclone is None:
        raise SystemExit("no Postgres or no rclone: `make test` says how to get them")
    where = circumstances(told.seed)
    postgres = Postgres(programs)
    postgres.start()
    try:
        with tempfile.TemporaryDirectory(prefix="triptych-soak-") as name:
            s3 = S3Server(rclone, Path(name) / "s3" / "objects")
            s3.start()
            try:
                code, result = run_chaos(
                    Path(name),
                    postgres.create_database(),
                    s3,
                    tickets=told.tickets,
                    kills=told.kills,
                    seed=told.seed,
                    timeout_seconds=told.timeout_seconds,
                )
            finally:
                s3.stop()
    finally:
        postgres.stop()
    # Every process imports what stands in the checkout when it begins.
    after = circumstances(told.seed)
    where["changed_since_commit"] = after["changed_since_commit"] or after["commit"] != where["commit"]
    report = json.dumps({**result, "database": "postgres", "store": "s3", **where}, indent=1)
    told.out.parent.mkdir(exist_ok=True)
    told.out.write_text(f"{report}\n")
    print(report)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
