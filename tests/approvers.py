"""A person who answers what a flow run waits for, as the Prefect UI does: by resuming the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

T = TypeVar("T")


@dataclass
class Approver:
    """Answers each wait of a flow run with the next of its answers; what it was shown and told is kept.

    Attributes:
        answers: What the run is resumed with, in order; None leaves that wait alone.
        pages: The Markdown that stood above the form, by wait.
        said: What the server answered, by wait: ACCEPT, REJECT or ABORT.
    """

    answers: Iterable[Mapping[str, Any] | None]
    pages: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])

    async def beside(self, work: Awaitable[T]) -> T:
        """Answer what the current flow run asks while it does its work."""
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        person = asyncio.create_task(self._answer(context.flow_run.id))
        working = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({person, working}, return_when=asyncio.FIRST_COMPLETED)
            if person in done:
                person.result()  # a person who failed would be waited for until the deadline
            return await working
        finally:
            person.cancel()
            working.cancel()

    async def _answer(self, flow_run_id: UUID) -> None:
        seen: set[str] = set()
        async with get_client() as client:
            for answer in self.answers:
                while True:
                    run = await client.read_flow_run(flow_run_id)
                    assert run.state is not None
                    key = run.state.state_details.pause_key or ""
                    if run.state.type == StateType.PAUSED and key not in seen:
                        break
                    await asyncio.sleep(0.05)
                seen.add(key)
                keyset = run.state.state_details.run_input_keyset
                assert keyset is not None
                # The schema is written last; a test may pause its run before there is a form.
                await _form_is_there(client, flow_run_id, keyset["schema"])
                self.pages.append(json.loads(await client.read_flow_run_input(flow_run_id, keyset["description"])))
                if answer is not None:
                    self.said.append(await resumed(client, flow_run_id, answer))


async def resumed(client: PrefectClient, flow_run_id: UUID, answer: Mapping[str, Any]) -> str:
    """Answer until the server has taken it, whose database may be locked, and return what it says to it."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(_is_busy), stop=stop_after_delay(200), wait=wait_fixed(0.5), reraise=True
    ):
        with attempt:
            return (await client.resume_flow_run(flow_run_id, run_input=dict(answer))).status.value
    raise AssertionError("unreachable")


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, PrefectHTTPStatusError) and error.response.status_code == 503


async def _form_is_there(client: PrefectClient, flow_run_id: UUID, key: str) -> None:
    for _ in range(600):
        try:
            await client.read_flow_run_input(flow_run_id, key)
            return
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:
                raise
        await asyncio.sleep(0.05)
    raise AssertionError(f"no form for {key} within 30 s")
