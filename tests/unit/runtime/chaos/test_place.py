"""Chaos uses nothing that somebody else does."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.components.s3 import S3Server
from triptych.errors import ConfigurationError
from triptych.runtime.chaos.place import Place
from triptych.settings import ScriptedSettings, Settings, StoreSettings

URL = "PREFECT_API_DATABASE_CONNECTION_URL"
PACE = ScriptedSettings()


def test_home_desk_and_witness_are_its_own(tmp_path: Path) -> None:
    theirs = Settings(
        home=tmp_path, desk_url=f"sqlite:///{tmp_path / 'desk'}", witness=tmp_path / "witness", model="anthropic:x"
    )
    place = Place(theirs, PACE)
    try:
        told = " ".join(place.environment.values())
        assert str(tmp_path) not in told
        assert place.settings.model == "scripted"
        assert place.settings.folder == place.folder
        assert "TRIPTYCH_STORE__LOCATION" not in place.environment
    finally:
        place.remove()
    assert not place.folder.exists()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_of_a_folder_that_is_given_it_uses_a_new_one_within(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "theirs").touch()
    given = Settings(store=StoreSettings(location=f"{scheme}{tmp_path}/"))
    first, second = Place(given, PACE), Place(given, PACE)
    locations = [place.environment["TRIPTYCH_STORE__LOCATION"] for place in (first, second)]
    assert all(location.startswith(f"{scheme}{tmp_path}/chaos-") for location in locations)
    assert locations[0] != locations[1]
    ours, other = (Path(location.removeprefix(scheme)) for location in locations)
    for folder in (ours, other):
        folder.mkdir()
        (folder / "object").touch()
    first.remove()
    assert sorted(tmp_path.iterdir()) == sorted([other, tmp_path / "theirs"])
    second.remove()


def test_of_a_bucket_that_is_given_it_uses_a_new_prefix(s3_server: S3Server) -> None:
    bucket = s3_server.create_bucket()
    theirs = s3_server.folder / bucket / "prefix" / "theirs"
    theirs.mkdir(parents=True)
    (theirs / "object").touch()
    given = StoreSettings(
        location=f"s3://{bucket}/prefix",
        endpoint_url=s3_server.endpoint,
        key=s3_server.key,
        secret=SecretStr(s3_server.secret),
        region=s3_server.region,
    )
    place = Place(Settings(store=given), PACE)
    location = place.environment["TRIPTYCH_STORE__LOCATION"]
    assert location.startswith(f"s3://{bucket}/prefix/chaos-")
    ours = s3_server.folder / location.removeprefix("s3://")
    ours.mkdir()
    (ours / "object").touch()
    place.remove()
    assert not (ours / "object").exists()
    assert (theirs / "object").exists()


def test_a_database_that_is_a_servers_already_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prefect.db"
    monkeypatch.setenv(URL, f"sqlite+aiosqlite:///{file}")
    place = Place(Settings(), PACE)
    place.remove()
    assert place.database == f"sqlite+aiosqlite:///{file}"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE flow_run (id TEXT)")
    with pytest.raises(ConfigurationError, match="wants an empty database"):
        Place(Settings(), PACE)


def test_a_database_that_cannot_be_used_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "postgresql+asyncpg://me:secret@127.0.0.1:1/nothing")
    with pytest.raises(ConfigurationError, match="cannot be used") as raised:
        Place(Settings(), PACE)
    assert "secret" not in str(raised.value)
    monkeypatch.delenv(URL)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_HOST", "db")
    with pytest.raises(ConfigurationError, match="by its URL"):
        Place(Settings(), PACE)
