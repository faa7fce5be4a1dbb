"""The block documents of this project. Change them here, or in the Prefect UI: what is edited there stays."""

from __future__ import annotations

from prefect.blocks.core import Block

from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget
from triptych.runtime.sandboxes import SandboxPolicy
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings


def documents(settings: Settings) -> dict[str, Block]:
    """Return the documents by name.

    A person approves what pays out more than 500 USD. The store is a folder in Triptych's home, or what
    `TRIPTYCH_STORE__LOCATION` and its siblings say. Coding agents work in boxes of the image that
    `docker build --tag triptych-hands deployments/hands` makes.
    """
    store = settings.store
    return {
        settings.store_block: CheckpointStore(
            location=store.location or str(settings.folder / "checkpoints"),
            endpoint_url=store.endpoint_url,
            key=store.key,
            secret=store.secret,
            region=store.region,
        ),
        settings.policy_block: ApprovalPolicy(),
        settings.budget_block: Budget(),
        "coding-agent-python": SandboxPolicy(image="triptych-hands"),
    }
