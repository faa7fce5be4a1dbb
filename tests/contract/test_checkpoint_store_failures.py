"""A store that cannot be used says which and why, never with the secret, and never passes for an empty one."""

from __future__ import annotations

import os
import pickle
import subprocess
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.components.processes import free_port
from tests.components.s3 import S3Server
from tests.contract.checkpoint_stores import folder_store, s3_store
from triptych.errors import CheckpointStoreUnavailable
from triptych.runtime.store import CheckpointStore

SECRET = "hunter2-is-no-secret"

Operation = Callable[[CheckpointStore], Awaitable[Any]]
OPERATIONS: dict[str, Operation] = {
    "read": lambda store: store.read("a/b"),
    "write": lambda store: store.write("a/b", b"x"),
    "keys": lambda store: store.keys("a"),
    "remove": lambda store: store.remove("a/b"),
    "check": lambda store: store.check(),
    "read_path": lambda store: store.read_path("b"),
    "write_path": lambda store: store.write_path("b", b"{}"),
}
CHANGES = {name: OPERATIONS[name] for name in ("write", "check", "write_path")}


async def fails(store: CheckpointStore, operation: Operation, reason: str) -> None:
    """Assert that the operation names the store and the reason, in text that a person may be shown."""
    with pytest.raises(CheckpointStoreUnavailable) as caught:
        await operation(store)
    error = caught.value
    assert error.store == store.backend.place
    assert error.store in str(error)
    assert error.reason in str(error)
    assert reason in error.reason
    secrets = [SECRET, *([store.secret.get_secret_value()] if store.secret else [])]
    shown = "".join(traceback.format_exception(error)) + repr(pickle.loads(pickle.dumps(error)))
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_an_endpoint_where_nobody_listens(operation: Operation) -> None:
    store = CheckpointStore(
        location="s3://bucket/prefix",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        key="triptych",
        secret=SecretStr(SECRET),
        outage_seconds=0,
    )
    await fails(store, operation, "Could not connect")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_wrong_secret(operation: Operation, s3_server: S3Server) -> None:
    # The default wait: a wrong secret must not be waited for, or this test would take minutes.
    await fails(s3_store(s3_server, secret=SecretStr(SECRET)), operation, "the secret is wrong")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_an_unknown_key_id(operation: Operation, s3_server: S3Server) -> None:
    await fails(s3_store(s3_server, key="nobody"), operation, "the key id is unknown")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_missing_bucket_is_not_a_missing_checkpoint(operation: Operation, s3_server: S3Server) -> None:
    await fails(s3_store(s3_server, bucket="nowhere"), operation, "the bucket does not exist")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_no_credentials_at_all(
    operation: Operation, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    await fails(s3_store(s3_server, key=None, secret=None), operation, "credentials")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_missing_folder_is_not_an_empty_store(operation: Operation, tmp_path: Path) -> None:
    await fails(folder_store(tmp_path / "not-mounted"), operation, "does not exist")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_file_in_the_folder_s_place(operation: Operation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    await fails(folder_store(tmp_path / "file"), operation, "does not exist")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "triptych-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("component mount is missing: run as root, where a disk may be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("operation", CHANGES.values(), ids=CHANGES)
async def test_a_full_disk_keeps_what_it_holds(operation: Operation, small_disk: Path) -> None:
    store = folder_store(small_disk)
    await store.write("a/old", b"old")
    await fails(store, lambda store: store.write("a/old", b"new" * 100_000), "No space left")
    assert await store.read("a/old") == b"old"
    filler = small_disk / "filler"
    fill = ["dd", "if=/dev/zero", f"of={filler}", "bs=512"]
    assert b"No space left" in subprocess.run(fill, check=False, capture_output=True, env={"LC_ALL": "C"}).stderr
    await fails(store, operation, "No space left")
    assert await store.read("a/old") == b"old"
    assert await store.keys("a") == ["a/old"]
    # No half-written file is left to fill the disk for good.
    assert not [path for path in small_disk.rglob("*.tmp")]
    filler.unlink()
    await operation(store)


@pytest.mark.parametrize("operation", CHANGES.values(), ids=CHANGES)
async def test_a_read_only_folder_is_read(operation: Operation, small_disk: Path) -> None:
    store = folder_store(small_disk)
    await store.write("a/old", b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    await fails(store, operation, "Read-only file system")
    await fails(store, lambda store: store.remove("a/old"), "Read-only file system")
    assert await store.read("a/old") == b"old"
    assert await store.keys("a") == ["a/old"]


async def test_a_folder_where_an_object_is_wanted_is_an_error_and_no_miss(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    await store.write("a/b", b"x")
    await fails(store, lambda store: store.read("a"), "Is a directory")
    await fails(store, lambda store: store.read("a/b/c"), "Not a directory")
