"""`triptych chaos` on Postgres and S3, as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.components.postgres import PostgresUrls
from tests.components.s3 import S3Server
from tests.e2e.stack import PROJECT

COMMAND = [sys.executable, "-m", "triptych", "chaos", "--json"]


def run_chaos(
    folder: Path, database: PostgresUrls, s3: S3Server, *, tickets: int, kills: int, seed: int, timeout_seconds: float
) -> tuple[int, dict[str, Any]]:
    """Run it in a folder, and return its exit code and what it printed."""
    told = ["--tickets", str(tickets), "--kills", str(kills), "--seed", str(seed)]
    # What it says on the way is for whoever looks on: on standard error, which is left to be seen.
    done = subprocess.run(
        [*COMMAND, *told, "--timeout-seconds", str(timeout_seconds)],
        cwd=PROJECT,
        env=environment(folder, database, s3),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.stdout, f"exit {done.returncode}"
    return done.returncode, json.loads(done.stdout)


def environment(folder: Path, database: PostgresUrls, s3: S3Server) -> dict[str, str]:
    """Return the variables that name the database, the store, and where it makes its home."""
    return {
        **os.environ,
        "TMPDIR": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": database.asynchronous,
        "TRIPTYCH_STORE__LOCATION": f"s3://{s3.create_bucket()}/of-the-test",
        "TRIPTYCH_STORE__ENDPOINT_URL": s3.endpoint,
        "TRIPTYCH_STORE__KEY": s3.key,
        "TRIPTYCH_STORE__SECRET": s3.secret,
        "TRIPTYCH_STORE__REGION": s3.region,
    }
