"""What one process of a benchmark asks of another."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.object_store import ObjectStore


class Job(BaseModel):
    """One measurement of checkpoints."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    """Holds `home/prefect`, the server's database, and `bucket`; the folder store is made in it."""
    lengths: tuple[int, ...]
    """Steps of the runs."""
    rounds: int
    """Counted ones."""
    s3: ObjectStore | None
