"""Tickets in flight on Postgres and S3 while flow processes, the worker and the server are killed: nothing is lost.

`make soak` runs fifty tickets and a hundred kills; here is a sample, of another seed each day. That each figure can be
something else is seen in `tests/unit/runtime/chaos`.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.components.postgres import PostgresUrls
from tests.components.s3 import S3Server
from tests.e2e.chaos import COMMAND, environment, run_chaos
from tests.e2e.stack import PROJECT

pytestmark = pytest.mark.slow


def _left_behind(folder: Path) -> list[str]:
    """Processes that know of a folder."""
    found: list[str] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in process.environ().get("TRIPTYCH_HOME", ""):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.timeout(1000)
def test_five_tickets_and_ten_kills(tmp_path: Path, postgres_url: PostgresUrls, s3_server: S3Server, seed: int) -> None:
    print(f"TRIPTYCH_SEED={seed}")
    code, result = run_chaos(tmp_path, postgres_url, s3_server, tickets=5, kills=10, seed=seed, timeout_seconds=800)
    print(result)
    assert result["faults"] == []
    assert code == 0
    assert (result["seed"], result["tickets"], result["terminal"]) == (seed, 5, 5)
    assert (result["kills"], sum(result["kills_by_target"].values())) == (10, 10)
    assert set(result["kills_by_target"]) == {"flow", "worker", "server"}
    assert result["effects_applied"] == result["effects_expected"] > 0
    assert result["duplicate_effects"] == result["approvals_asked_again"] == result["requests_paid_again"] == 0
    # Each flow process that was killed was followed by another execution, but for those killed before they began.
    assert result["executions"] > 5
    assert result["database"].startswith("postgresql")
    assert "***" in result["database"]
    assert result["store"].startswith("s3://")
    assert _left_behind(tmp_path) == []
    assert list(tmp_path.glob("triptych-chaos-*")) == []


@pytest.mark.timeout(300)
def test_what_is_not_at_its_end_in_time_is_a_fault(
    tmp_path: Path, postgres_url: PostgresUrls, s3_server: S3Server
) -> None:
    code, result = run_chaos(tmp_path, postgres_url, s3_server, tickets=1, kills=0, seed=0, timeout_seconds=1)
    assert code == 1
    assert result["terminal"] == 0
    (fault,) = result["faults"]
    assert "is not terminal" in fault
    assert _left_behind(tmp_path) == []
    # Its books are left for whoever looks for the cause.
    (books,) = tmp_path.glob("triptych-chaos-*")
    assert (books / "logs" / "server.log").exists()


@pytest.mark.timeout(300)
def test_the_stack_goes_with_a_command_that_is_ended(
    tmp_path: Path, postgres_url: PostgresUrls, s3_server: S3Server
) -> None:
    env = environment(tmp_path, postgres_url, s3_server)
    with subprocess.Popen(COMMAND, cwd=PROJECT, env=env, stderr=subprocess.PIPE, text=True) as chaos:
        assert chaos.stderr is not None
        assert any("in flight" in line for line in chaos.stderr)
        assert _left_behind(tmp_path) != []
        chaos.send_signal(signal.SIGTERM)
        assert "its logs and books are in" in chaos.stderr.read()
    assert chaos.returncode not in (0, -signal.SIGTERM)
    assert _left_behind(tmp_path) == []
