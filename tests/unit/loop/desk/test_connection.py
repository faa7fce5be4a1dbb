"""A URL that names no usable database is refused before anything else, and never with its password."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from tests.components.processes import free_port
from tests.order_desks import sqlite_url
from triptych.errors import ConfigurationError
from triptych.loop.desk import OrderDesk


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "URL cannot be read: write sqlite:////"),
        ("desk.sqlite", "URL cannot be read"),
        ("mysql://root:hunter2@localhost/desk", "cannot live in mysql: write sqlite:////"),
        ("sqlite://", "would be seen by one thread alone: name a file"),
        ("sqlite:///:memory:", "would be seen by one thread alone"),
        ("postgresql+nodriver://u:hunter2@localhost/desk", "the driver of .* is not installed"),
    ],
)
def test_a_bad_url_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        OrderDesk(url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'triptych\[postgres\]'"):
        OrderDesk("postgresql+psycopg://u:hunter2@localhost/desk")


def test_a_database_that_does_not_answer_may_be_tried_again() -> None:
    url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{free_port()}/desk"
    with pytest.raises(
        ConnectionError, match=r"the order desk postgresql\+psycopg://u:\*\*\*@.* does not answer"
    ) as caught:
        OrderDesk(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "desk.sqlite").write_text("dear diary, " * 100)
    with pytest.raises(ConfigurationError, match="is not a database"):
        OrderDesk(sqlite_url(tmp_path / "desk.sqlite"))
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        OrderDesk(sqlite_url(tmp_path))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"the folder of the order desk .* cannot be made"):
        OrderDesk(sqlite_url(tmp_path / "file" / "desk.sqlite"))


def test_a_sqlite_desk_is_set_up_for_many_processes(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "desk.sqlite"
    with OrderDesk(sqlite_url(file)), closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    # SQLite itself does not wait here, whatever its timeout: the switch to the write-ahead log fails at once.
    file = tmp_path / "desk.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        release = Timer(0.3, writer.execute, ["COMMIT"])
        release.start()
        with OrderDesk(sqlite_url(file)) as desk:
            assert desk.is_empty()
        release.join()


def test_its_repr_hides_the_password(tmp_path: Path) -> None:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        assert repr(desk) == f"OrderDesk('sqlite:///{tmp_path}/desk.sqlite')"
