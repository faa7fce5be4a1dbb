"""The person who answers every request for approval: a process of its own, `python -m triptych.runtime.chaos.person`.

A process of its own, since it uses Prefect's client, and outlives the server several times.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path
from uuid import UUID

from triptych.errors import ConfigurationError
from triptych.runtime.approval.pending import Command, Pending, decide_by_command, load_store, pending
from triptych.runtime.approval.waiting import attempts
from triptych.runtime.chaos.answers import Answer, read, unsettled, write
from triptych.runtime.chaos.tickets import approves
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings

LOOK_SECONDS = 0.5
_NAME = "the person of triptych chaos"

_logger = logging.getLogger(__name__)


async def answer_forever(settings: Settings, file: Path, seed: int) -> None:
    """Answer what is asked, until this process is ended.

    Args:
        settings: Name the store.
        file: Where each answer is written down.
        seed: Of the decisions.
    """
    store: CheckpointStore | None = None
    while True:
        try:
            store = store or await load_store(settings.store_block)
            await answer_once(store, file, seed)
        except Exception as error:  # whatever a server that was just killed makes of it: the person looks again
            _logger.warning("%s: %s", type(error).__name__, error)
        await asyncio.sleep(LOOK_SECONDS)


async def answer_once(store: CheckpointStore, file: Path, seed: int) -> None:
    """Answer each request that is pending now, and find out about earlier answers what became of them."""
    rows = await pending(store)
    known = read(file)
    for answer in unsettled(known):
        await _settle(answer, rows, file)
    # A look that began before the server took an answer may still show its request.
    taken = {(answer.flow_run_id, answer.pause_key) for answer in read(file) if answer.event == "taken"}
    for row in rows:
        if (row.request.flow_run_id, row.pause_key) not in taken:
            await _answer(store, row, file, seed)


async def _answer(store: CheckpointStore, row: Pending, file: Path, seed: int) -> None:
    request = row.request
    answer = Answer(
        event="sent",
        flow_run_id=request.flow_run_id,
        request_id=request.id,
        pause_key=row.pause_key,
        fingerprint=request.fingerprint,
        arguments=request.arguments,
        approve=approves(seed, str(request.arguments["order_id"])),
    )
    write(file, answer)
    command = Command(answer.approve, _NAME, fingerprint=request.fingerprint)
    try:
        await decide_by_command(store, request.id, command)
    except ConfigurationError as error:
        # Said as well where Prefect's client tried twice, and the answer to the first try was lost.
        _logger.warning("%s", error)
        return
    write(file, answer.then("taken"))


async def _settle(answer: Answer, rows: list[Pending], file: Path) -> None:
    """Find out whether an answer was taken: by the server's history of the run, as nobody else answers."""
    asked = await attempts(UUID(answer.flow_run_id), answer.request_id)
    if any(attempt.key == answer.pause_key and attempt.resumed_at is not None for attempt in asked):
        write(file, answer.then("taken"))
    elif all(row.pause_key != answer.pause_key for row in rows):
        write(file, answer.then("lost"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    told = parser.parse_args()
    asyncio.run(answer_forever(Settings(), told.answers, told.seed))
