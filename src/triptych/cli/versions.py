"""`triptych deploy` and `triptych rollback`: a commit of the project, and the one before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.terminal import Json, connected, note, out, print_json, say
from triptych.settings import Settings

Project = Annotated[Path | None, typer.Option(help="The folder with prefect.yaml; by default here or above.")]


def deploy(
    ref: Annotated[str, typer.Option(help="A tag, a branch or a commit of the project's repository.")] = "HEAD",
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Deploy prefect.yaml as of a commit. Runs under way keep their process; schedules keep their state."""
    from triptych.runtime.project import find_project

    settings = Settings()
    folder = find_project(project)
    connected(settings)
    from triptych.runtime import deploying
    from triptych.runtime.versions import has_changes

    say(f"deploying {ref}")
    version = asyncio.run(deploying.deploy(settings, folder, ref))
    if as_json:
        print_json(version.model_dump(mode="json"))
        return
    out.print(f"Deployed: {version.ref} ({version.commit[:12]})", highlight=False)
    if ref == "HEAD" and has_changes(folder):
        note("Changes that are not committed are not deployed.")


def rollback(project: Project = None, as_json: Json = False) -> None:
    """Deploy the version that was in force before the last `triptych deploy`."""
    from triptych.runtime.project import find_project

    settings = Settings()
    folder = find_project(project)
    connected(settings)
    from triptych.runtime import deploying

    version = asyncio.run(deploying.roll_back(settings, folder))
    if as_json:
        print_json(version.model_dump(mode="json"))
    else:
        out.print(f"Back at {version.ref} ({version.commit[:12]})", highlight=False)
