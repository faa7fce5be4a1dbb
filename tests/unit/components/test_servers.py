"""The servers that tests run against are real ones, and go away when told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import s3fs
from prefect import flow
from prefect.client.orchestration import get_client

from tests.components.postgres import PostgresUrls
from tests.components.prefect_server import PrefectServer, start_prefect_server
from tests.components.s3 import S3Server


def filesystem(server: S3Server, secret: str | None = None) -> Any:
    return s3fs.S3FileSystem(
        key=server.key,
        secret=secret or server.secret,
        endpoint_url=server.endpoint,
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={"retries": {"max_attempts": 1}, "connect_timeout": 2},
    )


def test_s3_keeps_what_it_holds_through_a_kill(s3_server_of_its_own: S3Server):
    server = s3_server_of_its_own
    bucket = server.create_bucket()
    filesystem(server).pipe_file(f"{bucket}/a/b", b"kept")
    server.kill()
    with pytest.raises(Exception, match="Could not connect"):
        filesystem(server).cat_file(f"{bucket}/a/b")
    server.restart()
    assert filesystem(server).cat_file(f"{bucket}/a/b") == b"kept"


def test_s3_rejects_a_wrong_secret(s3_server: S3Server):
    bucket = s3_server.create_bucket()
    with pytest.raises(PermissionError):
        filesystem(s3_server, secret="wrong").pipe_file(f"{bucket}/a", b"")


def test_each_test_gets_an_empty_database(postgres_url: PostgresUrls):
    with psycopg.connect(postgres_url.sync.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
        assert connection.execute("SELECT similarity('a', 'a')").fetchone() == (1.0,)


@flow
def say(word: str) -> str:
    return word


async def test_a_flow_in_this_process_reports_to_the_server(prefect_server: PrefectServer):
    state = say("yes", return_state=True)
    assert await state.aresult() == "yes"
    async with get_client() as client:
        assert str(client.api_url).startswith(prefect_server.api_url)
        assert state.state_details.flow_run_id is not None
        assert (await client.read_flow_run(state.state_details.flow_run_id)).state_name == "Completed"


def test_a_flow_in_another_process_reports_to_the_server(prefect_server: PrefectServer, tmp_path: Path):
    (tmp_path / "a_flow.py").write_text(
        "from prefect import flow\n\n@flow\ndef a_flow():\n    return 1\n\n"
        "state = a_flow(return_state=True)\nprint(state.state_details.flow_run_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "a_flow.py"], cwd=tmp_path, env=prefect_server.env, capture_output=True, text=True, check=True
    )

    async def name() -> str | None:
        async with get_client() as client:
            return (await client.read_flow_run(UUID(done.stdout.strip()))).state_name

    assert asyncio.run(name()) == "Completed"


def test_a_server_keeps_its_runs_in_postgres(postgres_url: PostgresUrls, tmp_path: Path):
    with start_prefect_server(tmp_path, postgres_url.asynchronous) as server:
        assert server.is_healthy()
        with psycopg.connect(postgres_url.sync.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)
    assert not server.is_healthy()
