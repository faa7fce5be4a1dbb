"""`triptych fork` and `triptych replay`: what else a run could have come to, and what today's code would make of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from triptych.cli.terminal import Json, connected, note, out, print_json, say
from triptych.errors import ConfigurationError
from triptych.settings import Settings

Run = Annotated[str, typer.Argument(help="The run's id, the beginning of it, or its name.")]


def fork(
    run: Run,
    at: Annotated[str, typer.Option(help="The first step that is taken anew: its number or name in the history.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of a parameter: ticket.instruction='Keep it.' May be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model for the steps from there on.")] = None,
    allow_effects: Annotated[bool, typer.Option(help="Let the fork's tools change things, again perhaps.")] = False,
    as_json: Json = False,
) -> None:
    """Go on from a step of a run in a new run. What came before is copied, and nothing of it is executed again."""
    settings = Settings()
    changes = dict(_parsed(each) for each in change or [])
    connected(settings)
    from triptych.runtime import forking
    from triptych.runtime.approval.pending import load_store

    async def make() -> dict[str, Any]:
        made = await forking.fork(
            await load_store(settings.store_block),
            run,
            at,
            changes=changes,
            model=model,
            allow_effects=allow_effects,
        )
        effects = [{"step": step.number, "name": step.name, "label": step.checkpoint.label} for step in made.effects]
        return {
            "flow_run_id": str(made.flow_run_id),
            "fork_of": str(made.fork_of),
            "copied": made.copied,
            "effects_of_the_original": effects,
            "effects_allowed": allow_effects,
        }

    done = asyncio.run(make())
    if as_json:
        print_json(done)
        return
    out.print(f"Forked: {done['flow_run_id']} goes on after {done['copied']} copied steps.", highlight=False)
    for effect in done["effects_of_the_original"]:
        note(f"The original has called, in step {effect['step']}, what may change things: {effect['label']}")
    if done["effects_of_the_original"] and not allow_effects:
        out.print("The fork's tools change nothing; --allow-effects lets them.", highlight=False)
    out.print(f"Look at it: triptych history {done['flow_run_id']}", highlight=False)


def _parsed(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ConfigurationError(f"--set {text!r}: write NAME=VALUE, like ticket.instruction='Keep it.'")
    try:
        return path.strip(), json.loads(value)
    except ValueError:
        return path.strip(), value


def replay(
    run: Run,
    project: Annotated[Path | None, typer.Option(help="The folder with prefect.yaml whose code plays it.")] = None,
    as_json: Json = False,
) -> None:
    """Play a run against the code as it is now: offline, and for nothing. Exits with 1 where it would diverge."""
    from triptych.runtime.project import find_project

    settings = Settings()
    folder = find_project(project)
    connected(settings)
    from triptych.runtime import replay as replaying
    from triptych.runtime.approval.pending import load_store

    async def play() -> dict[str, Any]:
        return (await replaying.replay(await load_store(settings.store_block), run, folder, settings)).model_dump()

    say("playing it on a Prefect server of its own")
    done = asyncio.run(play())
    if as_json:
        print_json(done)
    else:
        steps = f"{done['replayed']} of {done['recorded']} recorded steps"
        match done["outcome"]:
            case "same":
                out.print(f"The same: {steps}, and the same end.", highlight=False)
            case "unfinished":
                out.print(f"The same so far: {steps}. Next: {done['at']}", highlight=False)
            case _:
                note(f"It diverges after {steps}, at {done['at']}: {done['why']}")
    if done["outcome"] == "diverges":
        raise typer.Exit(1)
