"""`triptych chaos`: what kills of flow processes, the worker and the server do to tickets in flight."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.terminal import Json, out, print_json, say
from triptych.settings import Settings


def chaos(
    tickets: Annotated[int, typer.Option(min=1, help="Tickets in flight.")] = 10,
    kills: Annotated[int, typer.Option(min=0, help="Processes to be killed: flow runs, the worker, the server.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the tickets, the kills and the answers.")] = 0,
    timeout_seconds: Annotated[float, typer.Option(min=1, help="What is not at its end by then is a fault.")] = 3600,
    project: Annotated[Path | None, typer.Option(help="The folder with prefect.yaml.")] = None,
    as_json: Json = False,
) -> None:
    """Kill processes at random while tickets are in flight, on a stack of its own, and count what that did.

    Exits with 1 unless each ticket is Completed, each effect was applied once, and nothing was asked or paid again.
    """
    from triptych.runtime.project import find_project

    folder = find_project(project)
    from triptych.runtime.chaos.result import print_result
    from triptych.runtime.chaos.run import ChaosOptions, run_chaos

    options = ChaosOptions(tickets=tickets, kills=kills, seed=seed, timeout_seconds=timeout_seconds)
    result = run_chaos(folder, Settings(), options, say=say)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_result(out, result)
    if result.faults:
        raise typer.Exit(1)
