"""The architectures that are compared, each in one file. A new one is a file here and a line in `ARMS`."""

from __future__ import annotations

import importlib
from typing import cast

from benchmarks.arms.protocol import Arm

ARMS: dict[str, str] = {
    "while_loop": "benchmarks.arms.while_loop",
    "while_loop_keyed": "benchmarks.arms.while_loop_keyed",
    "monolith": "benchmarks.arms.monolith",
    "layered": "benchmarks.arms.layered",
    "layered_s3": "benchmarks.arms.layered_s3",
    "prefect_durability": "benchmarks.arms.prefect_durability",
    "dbos": "benchmarks.arms.dbos_durability",
}
"""An arm's name and its module, which is imported when it is asked for: what it needs may not be installed."""

SANDBOXED = ("layered", "layered_s3")
"""Those that run code of a model's in containers, and need Docker for that, and the image."""
BOX_IMAGE = "triptych-hands"


def load_arm(name: str) -> Arm:
    """Return an arm by its name.

    Raises:
        KeyError: there is none of this name.
        ImportError: a package that it needs is not installed.
    """
    return cast(Arm, importlib.import_module(ARMS[name]))
