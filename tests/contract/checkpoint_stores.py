"""The checkpoint store's two backends on real storage, for every test that holds them to one contract."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import SecretStr

from tests.components.locate import CHECKOUT
from tests.components.s3 import S3Server
from triptych.runtime.store import CheckpointStore

StoreKind: TypeAlias = Literal["folder", "s3"]
STORE_KINDS: tuple[StoreKind, ...] = ("folder", "s3")


def folder_store(folder: Path, **fields: Any) -> CheckpointStore:
    return CheckpointStore(location=str(folder), **fields)


def s3_store(server: S3Server, bucket: str | None = None, **fields: Any) -> CheckpointStore:
    """A store in a prefix of its own, in a bucket of its own where none is named."""
    given: dict[str, Any] = {
        "location": f"s3://{bucket or server.create_bucket()}/runs-{secrets.token_hex(4)}",
        "endpoint_url": server.endpoint,
        "key": server.key,
        "secret": SecretStr(server.secret),
        "region": server.region,
    }
    return CheckpointStore(**(given | fields))


def as_arguments(store: CheckpointStore) -> dict[str, Any]:
    """What another process builds the same store from."""
    fields = store.model_dump(exclude={"block_type_slug"})
    return fields | {"secret": store.secret.get_secret_value() if store.secret else None}


def python(code: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with every warning shown."""
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", code, *arguments],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
