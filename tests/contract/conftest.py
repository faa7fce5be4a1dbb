"""Fixtures of the contract tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.checkpoint_stores import STORE_KINDS, StoreKind, folder_store, s3_store
from triptych.runtime.store import CheckpointStore


@pytest.fixture(params=STORE_KINDS)
def store_kind(request: pytest.FixtureRequest) -> StoreKind:
    """Each backend in turn."""
    return request.param


@pytest.fixture
def store(store_kind: StoreKind, request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    """An empty store of each kind in turn; it waits for nothing."""
    if store_kind == "folder":
        return folder_store(tmp_path, outage_seconds=0)
    return s3_store(request.getfixturevalue("s3_server"), outage_seconds=0)
