"""A real PostgreSQL cluster of the session's own, with an empty database for each test that asks."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import pytest
from psycopg import sql

from tests.components import require
from tests.components.processes import accepts_connections, free_port, wait_until_up


class PostgresUrls(NamedTuple):
    """SQLAlchemy URLs of one database."""

    sync: str
    """With the psycopg driver, as the order desk takes it."""
    asynchronous: str
    """With the asyncpg driver, as the Prefect server takes it."""


class Postgres:
    """A cluster on a loopback port, with a password, gone with its folder at the end."""

    def __init__(self, programs: Path) -> None:
        # Not below pytest's folder: that one is closed to other users, and the server refuses to run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        self._programs = programs
        self._port = free_port()
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Create the cluster, start it and wait until it answers."""
        password, data = self._folder / "password", self._folder / "data"
        password.write_text(self._password)
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
            shutil.chown(password, self._user, self._user)
        # The test's files need not survive a power cut: no sync makes this three times as fast.
        initdb = [self._programs / "initdb", "--pgdata", data, "--username=triptych", f"--pwfile={password}"]
        subprocess.run(
            [*initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            user=self._user,
            group=self._user,
            cwd="/",
            check=True,
            capture_output=True,
            timeout=60,
        )
        self._launch()

    def crash_and_start_again(self) -> None:
        """Kill the server with all its connections, and start it over the same files."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        # Stopped, it starts no child in place of a killed one; a child that is left would keep the new server away.
        server.suspend()
        family = [server, *server.children()]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(30)
        psutil.wait_procs(family, timeout=30)
        self._launch()

    def _launch(self) -> None:
        data, log = self._folder / "data", self._folder / "log"
        command = [self._programs / "postgres", "-D", data, "-p", str(self._port), "-c", "listen_addresses=127.0.0.1"]
        command += ["-c", f"unix_socket_directories={self._folder}", "-c", "fsync=off"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                user=self._user,
                group=self._user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until_up(self._process, self._answers, log, timeout_seconds=30)

    def stop(self) -> None:
        """End it and remove its folder."""
        if self._process is not None:
            # The server's immediate shutdown: any other first writes out databases that are thrown away (30 s).
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None
        shutil.rmtree(self._folder)

    def create_database(self) -> PostgresUrls:
        """Create an empty database."""
        name = f"test_{secrets.token_hex(4)}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        place = f"triptych:{self._password}@127.0.0.1:{self._port}/{name}"
        return PostgresUrls(f"postgresql+psycopg://{place}", f"postgresql+asyncpg://{place}")

    def _dsn(self, database: str) -> str:
        return f"postgresql://triptych:{self._password}@127.0.0.1:{self._port}/{database}"

    def _answers(self) -> bool:
        if not accepts_connections(self._port):
            return False
        try:
            psycopg.connect(self._dsn("postgres")).close()
        except psycopg.OperationalError:  # "the database system is starting up"
            return False
        return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the session; `postgres.create_database()` gives an empty database."""
    cluster = Postgres(require("postgres"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> PostgresUrls:
    """An empty database of the test's own."""
    return postgres.create_database()
