"""Save a project's block documents, and never undo what a person edited in the UI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from triptych.runtime.store import CheckpointStore


async def save_documents(documents: Mapping[str, Block], *, overwrite: bool) -> list[dict[str, str]]:
    """Save each document under its name; one that is there already stays as it is, unless `overwrite`.

    The folder of a new `CheckpointStore` is made as well: a store never makes its own, since a disk that is not
    mounted must not look like a store without checkpoints.

    Returns:
        A row a document: `block` (`<type>/<name>`), `action` (`saved`, `kept` or `overwritten`).
    """
    rows: list[dict[str, str]] = []
    async with get_client() as client:
        for name, block in documents.items():
            # The type and its fields first: the UI shows new ones also for a document that is kept.
            await cast(Any, type(block)).register_type_and_schema(client=client)
            slug = type(block).get_block_type_slug()
            try:
                await client.read_block_document_by_name(name=name, block_type_slug=slug)
                there = True
            except ObjectNotFound:
                there = False
            if not there or overwrite:
                if isinstance(block, CheckpointStore) and "://" not in block.location:
                    Path(block.location).expanduser().mkdir(parents=True, exist_ok=True)
                await cast(Any, block).save(name, overwrite=overwrite, client=client)
            action = "kept" if there and not overwrite else "overwritten" if there else "saved"
            rows.append({"block": f"{slug}/{name}", "action": action})
    return rows
