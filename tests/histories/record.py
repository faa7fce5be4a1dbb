"""Record a run for a released version: `python -m tests.histories.record RUN`, with the stack up that it ran on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from triptych import __version__
from triptych.runtime.stack import connect
from triptych.settings import Settings

HISTORIES = Path(__file__).parent


def main(run: str) -> None:
    settings = Settings()
    connect(settings)
    # Not before: Prefect reads where its server is when it is imported.
    from prefect.client.orchestration import get_client

    from triptych.runtime.approval.pending import load_store
    from triptych.runtime.queries import find_run
    from triptych.runtime.replay import record

    async def write() -> None:
        async with get_client() as client:
            found = await find_run(client, run)
        folder = HISTORIES / __version__ / str(found.parameters["ticket"]["id"])
        folder.mkdir(parents=True)
        await record(await load_store(settings.store_block), found, folder, settings)

    asyncio.run(write())


if __name__ == "__main__":
    main(sys.argv[1])
