"""The architectures that are compared, each in one file. A new one is a file here and a line in `ARMS`."""

from __future__ import annotations

import importlib
from typing import NamedTuple, cast

from benchmarks.arms.protocol import Arm


class Listed(NamedTuple):
    """What is known of an arm before it is imported: what it needs may not be installed."""

    module: str
    is_function: bool = False
    """Whether it is billed as a function-as-a-service, and not as containers; see `rates.toml`."""
    needs_docker: bool = False
    """Whether it runs code of a model's in containers, and needs Docker for that, and the image."""


ARMS: dict[str, Listed] = {
    "while_loop": Listed("benchmarks.arms.while_loop", is_function=True),
    "while_loop_keyed": Listed("benchmarks.arms.while_loop_keyed", is_function=True),
    "monolith": Listed("benchmarks.arms.monolith"),
    "layered": Listed("benchmarks.arms.layered", needs_docker=True),
    "layered_s3": Listed("benchmarks.arms.layered_s3", needs_docker=True),
    "prefect_durability": Listed("benchmarks.arms.prefect_durability"),
    "dbos": Listed("benchmarks.arms.dbos_durability"),
}
"""By name."""

BOX_IMAGE = "triptych-hands"


def load_arm(name: str) -> Arm:
    """Return an arm by its name.

    Raises:
        KeyError: there is none of this name.
        ImportError: a package that it needs is not installed.
    """
    return cast(Arm, importlib.import_module(ARMS[name].module))
