"""The block classes that Triptych announces to Prefect.

Every process that loads Prefect's collections imports this module (entry point group `prefect.collections`), so that a
block document of ours resolves anywhere and not only where somebody happened to import its class.
"""

from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget
from triptych.runtime.sandboxes import SandboxPolicy
from triptych.runtime.store import CheckpointStore

__all__ = ["ApprovalPolicy", "Budget", "CheckpointStore", "SandboxPolicy"]
