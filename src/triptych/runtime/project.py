"""A project: the folder with `prefect.yaml`, whose flows, blocks and benchmarks are run by path, never imported."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from triptych.errors import ConfigurationError


def find_project(given: Path | None = None) -> Path:
    """Return the project's folder: the one given, or the nearest with a `prefect.yaml`, from here upwards.

    Raises:
        ConfigurationError: there is none.
    """
    if given is not None:
        if not (given / "prefect.yaml").is_file():
            raise ConfigurationError(f"{given} is no project: it holds no prefect.yaml")
        return given.absolute()
    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / "prefect.yaml").is_file():
            return folder
    raise ConfigurationError(
        "no prefect.yaml here or in a folder above: go to your project, or name it with --project FOLDER"
    )


def load_entrypoint(project: Path, entrypoint: str) -> Any:
    """Return the object behind `folder/file.py:name` of a project.

    Raises:
        ConfigurationError: there is no such file, or nothing of that name in it.
    """
    file, _, name = entrypoint.partition(":")
    path = project / file
    if not path.is_file():
        raise ConfigurationError(f"{entrypoint}: {path} does not exist")
    if str(project) not in sys.path:
        # A flow or benchmark of the project may import its neighbours.
        sys.path.insert(0, str(project))
    found = runpy.run_path(str(path), run_name=path.stem)
    if name not in found:
        raise ConfigurationError(f"{entrypoint}: {path} defines no {name}")
    return found[name]
