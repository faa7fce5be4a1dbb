"""`triptych approvals`: what waits for a person, and a decision from the command line."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Annotated, Any

import typer

from triptych.cli.terminal import Json, connected, out, print_json, table
from triptych.errors import ConfigurationError
from triptych.settings import Settings

app = typer.Typer(help="What waits for a person: list it, approve it, deny it.", invoke_without_command=True)
Request = Annotated[str, typer.Argument(help="The request's id, or its beginning.")]
Name = Annotated[
    str | None, typer.Option(help="Who decides; at a terminal you are asked. A claim: Prefect knows no users.")
]
Reason = Annotated[str, typer.Option(help="Why; the agent is told the reason of a denial.")]
Fingerprint = Annotated[
    str | None, typer.Option(help="Decide only if the request is about this call: for other systems.")
]


@app.callback()
def _approvals(context: typer.Context, as_json: Json = False) -> None:
    """List what waits for a person."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise ConfigurationError(f"write --json behind it: triptych approvals {context.invoked_subcommand} --json")
        return
    settings = Settings()
    connected(settings)
    from triptych.runtime.approval.pending import load_store, pending

    async def find() -> list[dict[str, Any]]:
        rows = await pending(await load_store(settings.store_block))
        return [
            {
                **row.request.model_dump(mode="json"),
                "flow_run_name": row.flow_run_name,
                "age_seconds": round(row.age_seconds),
                "seconds_left": round(row.seconds_left),
            }
            for row in rows
        ]

    found = asyncio.run(find())
    if as_json:
        print_json(found)
        return
    table(
        "Waiting for a person (amounts in USD)",
        ["request", "run", "tool", "amount", "waits", "left", "asked of"],
        [
            [
                row["id"],
                row["flow_run_name"],
                row["tool"],
                "unknown" if row["amount_usd"] is None else f"{row['amount_usd']:.2f}",
                _duration(row["age_seconds"]),
                _duration(row["seconds_left"]),
                row["asked_of"],
            ]
            for row in found
        ],
    )


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else str(timedelta(minutes=seconds // 60)).removesuffix(":00") + " h"


@app.command()
def show(request: Request, as_json: Json = False) -> None:
    """Show one request, pending or decided, as its approver reads it."""
    settings = Settings()
    connected(settings)
    from triptych.runtime.approval.page import entry, page
    from triptych.runtime.approval.pending import find, load_store

    async def read() -> tuple[Any, Any]:
        return await find(await load_store(settings.store_block), request)

    asked, decision = asyncio.run(read())
    if as_json:
        decided = None if decision is None else decision.model_dump(mode="json")
        print_json({"request": asked.model_dump(mode="json"), "decision": decided})
    else:
        text = page(asked, whole=True) if decision is None else entry(asked, decision, whole=True)
        out.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def approve(
    request: Request,
    name: Name = None,
    reason: Reason = "",
    arguments: Annotated[
        str,
        typer.Option(help='Approve it changed: a JSON object of the arguments that change, like {"reason": "..."}.'),
    ] = "",
    fingerprint: Fingerprint = None,
    as_json: Json = False,
) -> None:
    """Let the agent do it."""
    decision = {"approve": True, "name": name, "reason": reason, "arguments": arguments, "fingerprint": fingerprint}
    _decide(request, decision, as_json=as_json)


@app.command()
def deny(
    request: Request, name: Name = None, reason: Reason = "", fingerprint: Fingerprint = None, as_json: Json = False
) -> None:
    """Do not let the agent do it; the agent is told the reason and goes on."""
    _decide(request, {"approve": False, "name": name, "reason": reason, "fingerprint": fingerprint}, as_json=as_json)


def _decide(request: str, decision: dict[str, Any], *, as_json: bool) -> None:
    if decision["name"] is None:
        if not sys.stdin.isatty():
            raise ConfigurationError("a decision needs the name of who decides: give --name")
        decision["name"] = typer.prompt("Your name")
    settings = Settings()
    connected(settings)
    from triptych.runtime.approval.pending import Command, decide_by_command, load_store

    async def decide() -> dict[str, Any]:
        decided = await decide_by_command(await load_store(settings.store_block), request, Command(**decision))
        return {
            "request": decided.id,
            "flow_run_id": decided.flow_run_id,
            "approved": decision["approve"],
            "claimed_name": decision["name"],
        }

    done = asyncio.run(decide())
    if as_json:
        print_json(done)
    else:
        said = "Approved" if decision["approve"] else "Denied"
        out.print(f"{said}: {done['request']}. Its run goes on.", highlight=False)
