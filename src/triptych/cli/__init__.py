"""`triptych`: a thin layer of commands over the runtime.

It never imports a project's flows or benchmarks: it finds the project and runs its entrypoints by path. It imports the
runtime, and with it Prefect, only inside a command, after `connect` has settled which server Prefect is to use.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from triptych import __version__
from triptych.cli import advise, approvals, chaos, coding, forks, runs, sandboxes, versions
from triptych.cli.terminal import Json, connected, note, out, print_json, progress, say, show_log, table
from triptych.errors import ConfigurationError, TriptychError
from triptych.settings import Settings

app = typer.Typer(
    name="triptych",
    help="Run AI agents in production on Prefect.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(approvals.app, name="approvals")
app.command()(advise.advise)
app.command()(forks.fork)
app.command()(forks.replay)
app.command()(chaos.chaos)
app.command()(coding.fix)
app.command()(versions.deploy)
app.command()(versions.rollback)
app.command()(runs.runs)
app.command()(runs.history)
app.command()(runs.prune)
app.command()(sandboxes.sandboxes)
app.command()(sandboxes.reap)
app.command()(sandboxes.pool)
Project = Annotated[Path | None, typer.Option(help="The folder with prefect.yaml; by default here or above.")]


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 the work failed, 2 something was written wrong, 130 interrupted."""
    try:
        app(standalone_mode=True)
    except ConfigurationError as error:
        _fail(str(error), 2)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "__".join(str(part) for part in first["loc"]).upper()
        _fail(f"TRIPTYCH_{place}: {first['msg']}", 2)
    except SettingsError as error:
        # `error parsing value for field "store" from source ...`, where a text stands for a group of settings.
        field = str(error).split('"')[1].upper()
        _fail(f"TRIPTYCH_{field}: it is a group of settings; set each by its own name, TRIPTYCH_{field}__...", 2)
    except TriptychError as error:
        _fail(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:
        if os.environ.get("TRIPTYCH_DEBUG"):
            raise
        # The first is the HTTP client's own, the second what Prefect makes of it.
        if type(error).__name__ == "ConnectError" or str(error).startswith("Failed to reach API"):
            said = f"the Prefect API does not answer ({error})"
            _fail(f"{said}. PREFECT_API_URL names it: unset it to use what `triptych up` started", 1)
        if "401 Unauthorized" in str(error):
            _fail("the Prefect API wants a password, or another one: set PREFECT_API_AUTH_STRING to user:password", 1)
        _fail(f"{type(error).__name__}: {error}\nTRIPTYCH_DEBUG=1 shows where it happened", 1)


def _fail(message: str, code: int) -> None:
    progress.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def up(
    project: Project = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The server's; a free one by default.")] = None,
    concurrency: Annotated[int, typer.Option(min=2, help="Flow runs at once; an inbox is one of them.")] = 4,
    sandbox: Annotated[bool, typer.Option(help="Also the sandbox's broker, where a Docker Engine answers.")] = True,
    as_json: Json = False,
) -> None:
    """Start a Prefect server, a worker and the recovery loop, and deploy prefect.yaml."""
    from triptych.runtime.project import find_project
    from triptych.runtime.stack import start

    settings = Settings()
    folder = find_project(project)
    stack = start(settings, folder, port=port, concurrency=concurrency, sandbox=sandbox, say=say)
    loaded = _load_samples_into_new_desk(settings)
    if as_json:
        print_json({**stack.model_dump(mode="json"), "ui_url": stack.ui_url})
        return
    if loaded:
        say(f"the order desk was empty: {loaded} sample records are in {settings.resolved_desk_url}")
    out.print(f"Up at {stack.ui_url}", highlight=False)
    out.print(f"For Prefect's own commands: export PREFECT_API_URL={stack.api_url}", highlight=False)
    out.print("Next: triptych inbox src/triptych/samples/tickets.jsonl; triptych down", highlight=False)


def _load_samples_into_new_desk(settings: Settings) -> int:
    """Give a newcomer's desk something to work on; a desk that somebody named or filled is left alone."""
    from triptych.loop.desk import OrderDesk
    from triptych.samples import SAMPLES

    if settings.desk_url is not None:
        return 0
    with OrderDesk(settings.resolved_desk_url) as desk:
        return desk.load(SAMPLES) if desk.is_empty() else 0


@app.command()
def down(as_json: Json = False) -> None:
    """Stop exactly what `triptych up` started."""
    from triptych.runtime.stack import stop

    stopped = stop(Settings())
    if as_json:
        print_json({"stopped": stopped})
    else:
        out.print(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was up.", highlight=False)


@app.command()
def blocks(
    project: Project = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace blocks that are there, and what a person edited in them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Save the block documents of the project's blocks/ folder; those that are there already stay as they are."""
    from triptych.runtime.project import find_project, load_entrypoint

    settings = Settings()
    folder = find_project(project)
    connected(settings)
    from triptych.runtime.documents import save_documents
    from triptych.runtime.sandboxes import put_in_force
    from triptych.sandbox.folder import socket_path

    documents = load_entrypoint(folder, "blocks/documents.py:documents")(settings)

    async def save() -> list[dict[str, str]]:
        rows = await save_documents(documents, overwrite=overwrite)
        if socket_path(settings.sandbox_folder).exists():
            for problem in await put_in_force(settings):
                say(problem)
        return rows

    saved = asyncio.run(save())
    if as_json:
        print_json({"blocks": saved})
    else:
        table("Blocks", ["block", "what happened"], [[item["block"], item["action"]] for item in saved])


@app.command()
def inbox(
    path: Annotated[Path, typer.Argument(help="A .json or .jsonl file of tickets, or a folder of such files.")],
    agent: Annotated[str, typer.Option(help="retail, orders, or the dotted path of a module of yours.")] = "retail",
    again: Annotated[bool, typer.Option("--again", help="Run tickets again that failed before.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Handle a file or folder of tickets with the deployed agents, and print what became of each."""
    from triptych.runtime.project import find_project

    settings = Settings()
    folder = find_project(project)
    api_url = connected(settings)
    # What a flow run here logs is on its page; a terminal has the table.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    from triptych.runtime.inbox import read_inbox
    from triptych.runtime.running import run_flow_here

    found = read_inbox(path)  # what cannot be read at all is said before a flow run is made
    if not found.tickets and not found.problems:
        raise ConfigurationError(f"no tickets in {path}: expected .json or .jsonl files with a ticket each or a line")
    say(f"tickets: {len(found.tickets)}; see them at {api_url.removesuffix('/api')}/runs")
    show_log("triptych.runtime.batches")
    report = run_flow_here(
        folder, "flows/handle_inbox.py:handle_inbox", path=str(path.absolute()), agent=agent, again=again
    )
    if as_json:
        print_json(report)
    else:
        table(
            "Tickets",
            ["ticket", "status", "outcome", "requests", "tokens", "cost", "first token", "seconds"],
            [
                [
                    row["ticket_id"],
                    row["status"],
                    "" if row["status"] == "failed" else row["outcome"],
                    row["spending"]["steps"],
                    row["spending"]["input_tokens"] + row["spending"]["output_tokens"],
                    f"${row['spending']['cost_usd']:.4f}",
                    _milliseconds(row["seconds_to_first_token"]),
                    None if row["duration_seconds"] is None else f"{row['duration_seconds']:.1f}",
                ]
                for row in report["rows"]
            ],
        )
        if waiting := sum(row["status"] == "waiting" for row in report["rows"]):
            note(f"waiting for a person: {waiting}; `triptych approvals` lists what is asked")
        for row in report["rows"]:
            if row["status"] == "failed":
                before = " (in an earlier run; --again runs it again)" if row["earlier"] else ""
                note(f"{row['ticket_id']}{before}: {row['outcome']}")
        for problem in report["problems"]:
            place = problem["source"] if problem["line"] is None else f"{problem['source']}:{problem['line']}"
            note(f"{place}: {problem['reason']}")
    if report["problems"] or any(row["status"] == "failed" for row in report["rows"]):
        raise typer.Exit(1)


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{1000 * seconds:.0f} ms"


@app.command()
def recover(
    poll_seconds: Annotated[float, typer.Option(help="How often to look.")] = 2.0,
    settle_seconds: Annotated[float, typer.Option(help="How long to wait for a worker's last word.")] = 60.0,
    silent_seconds: Annotated[
        float, typer.Option(min=31, help="How long a run may give no sign of life; its heartbeats come every 30 s.")
    ] = 75.0,
    all_send_heartbeats: Annotated[
        bool, typer.Option("--all-send-heartbeats", help="Take a run that was never heard for dead as well.")
    ] = False,
    pending_seconds: Annotated[float, typer.Option(help="How long a worker may take to start a run.")] = 90.0,
    max_attempts: Annotated[int, typer.Option(min=1, help="Executions that a run gets in all.")] = 5,
    backoff_seconds: Annotated[
        float, typer.Option(min=0, help="Wait before the third execution, doubled for each further one.")
    ] = 2.0,
) -> None:
    """Bring crashed runs back under their own ids, until stopped. `triptych up` runs this beside the worker."""
    settings = Settings()
    connected(settings)
    from triptych.runtime.recovery import RecoveryPolicy, recover_forever
    from triptych.runtime.sandboxes import keep_in_force
    from triptych.runtime.tending import tend_brains
    from triptych.sandbox.folder import socket_path

    policy = RecoveryPolicy(
        poll_seconds=poll_seconds,
        settle_seconds=settle_seconds,
        silent_seconds=silent_seconds,
        all_send_heartbeats=all_send_heartbeats,
        pending_seconds=pending_seconds,
        max_attempts=max_attempts,
        backoff_seconds=backoff_seconds,
    )

    async def watch() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(recover_forever(policy, say))
            if socket_path(settings.sandbox_folder).exists():
                group.create_task(keep_in_force(settings, say))
                group.create_task(tend_brains(settings, say))

    asyncio.run(watch())


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="End at once instead of leaving the server up.")] = False,
    approve: Annotated[
        bool | None, typer.Option("--approve/--deny", help="Decide what waits for a person; by default you are asked.")
    ] = None,
    coding: Annotated[
        bool, typer.Option("--coding", help="Mend three repositories and kill one box instead. Needs Docker.")
    ] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Handle a batch of sample tickets before your eyes, kill one run on the way, and decide a refund. Needs no key."""
    from triptych.runtime.project import find_project

    folder = find_project(project)
    from triptych.runtime.demo.coding import run_coding_demo
    from triptych.runtime.demo.tickets import run_demo

    run = run_coding_demo if coding else run_demo
    run(folder, leave=leave, approve=approve, as_json=as_json, console=progress if as_json else out)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def bench(
    context: typer.Context,
    suite: Annotated[
        str, typer.Option(help="One of architectures, approvals, checkpoints, demo and sandbox.")
    ] = "architectures",
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Run a benchmark of the project's benchmarks/ folder. Its own options follow.

    Of `architectures`: --profile smoke (five minutes) or full, --arms, --workloads, --rounds, --seed, --out, --tau,
    --resume; or `compare A B` of two results, or `report DIR`.
    """
    from triptych.runtime.project import find_project, load_entrypoint

    folder = find_project(project)
    known = sorted(
        file.stem for file in (folder / "benchmarks").glob("*.py") if "\ndef run(*, arguments" in file.read_text()
    )
    if suite not in known:
        raise ConfigurationError(f"there is no suite {suite!r} in {folder / 'benchmarks'}: it has {', '.join(known)}")
    run: Callable[..., None] = load_entrypoint(folder, f"benchmarks/{suite}.py:run")
    run(arguments=context.args, as_json=as_json)
