"""A flow file's name hides no module: Prefect puts the file's own folder at `sys.path[0]` and leaves it there."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.components.locate import CHECKOUT


def hiding(names: Iterable[str]) -> set[str]:
    folders = {path.name for path in [*CHECKOUT.iterdir(), *CHECKOUT.joinpath("src").iterdir()] if path.is_dir()}
    return set(names) & (folders | sys.stdlib_module_names | importlib.metadata.packages_distributions().keys())


def test_no_flow_file_hides_a_module():
    assert hiding(path.stem for path in Path(CHECKOUT, "flows").iterdir() if not path.name.startswith("__")) == set()


@pytest.mark.parametrize("name", ["blocks", "docker", "json", "prefect", "triptych", "pydantic_ai"])
def test_a_name_that_hides_is_seen(name: str):
    assert hiding([name, "handle_ticket"]) == {name}
