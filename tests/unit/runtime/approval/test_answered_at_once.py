"""Several people answer in the same moment, on both databases that a Prefect server can have: one of them decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import httpx
import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext

from tests.approvers import Approver
from tests.components.postgres import Postgres
from tests.components.prefect_server import PrefectServer, start_prefect_server
from tests.unit.runtime.approval.other_servers import case_on

pytestmark = pytest.mark.timeout(120)

Answer: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

EMPTY: Answer = {}
YES: Answer = {"approve": True, "name": "Mia"}
ANSWERS: list[Answer] = [YES, {"name": "Max", "reason": "no"}, {"approve": True, "name": "Ann"}, {"name": "Tom"}]


class OnPostgres:
    """A server over Postgres, and a way into its database."""

    def __init__(self, server: PrefectServer, url: str) -> None:
        self.server = server
        self._url = url

    @contextmanager
    def late(self, flow_run_id: str) -> Generator[Callable[[], int]]:
        """Keep the server from changing a flow run meanwhile; gives how many requests want to."""
        with psycopg.connect(self._url) as keeper, psycopg.connect(self._url, autocommit=True) as watcher:
            keeper.execute("SELECT 1 FROM flow_run WHERE id = %s FOR UPDATE", [flow_run_id])
            yield lambda: len(
                watcher.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%'"
                ).fetchall()
            )


@pytest.fixture(scope="module")
def on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPostgres]:
    urls = postgres.create_database()
    with start_prefect_server(tmp_path_factory.mktemp("prefect"), urls.asynchronous) as server:
        yield OnPostgres(server, urls.sync.replace("+psycopg", ""))


class People(Approver):
    """Several who may answer a flow run's request; what they read and were told is kept."""

    def __init__(self, server: PrefectServer, answer_it: Callable[[People], Awaitable[None]]) -> None:
        super().__init__([])
        self._url = server.api_url
        self._answer_it = answer_it
        self.flow_run_id = ""
        self.told: list[tuple[Answer, str]] = []

    async def beside(self, work: Awaitable[T]) -> T:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        self.flow_run_id = str(context.flow_run.id)
        people = asyncio.ensure_future(self._answer_it(self))
        try:
            return await work
        finally:
            await people

    async def read_page(self) -> None:
        """Wait until the next time of asking, and read what is asked."""
        async with get_client() as client:
            while True:
                run = await client.read_flow_run(UUID(self.flow_run_id))
                assert run.state is not None
                key = f"-{len(self.pages) + 1}-held"
                if run.state.type == StateType.PAUSED and (run.state.state_details.pause_key or "").endswith(key):
                    break
                await asyncio.sleep(0.05)
            keyset = run.state.state_details.run_input_keyset
            assert keyset is not None
            self.pages.append(await client.read_flow_run_input(run.id, keyset["description"]))

    async def answer(self, answer: Answer) -> None:
        """Resume the run as a browser does, which does not try again."""
        async with httpx.AsyncClient(timeout=60) as browser:
            said = await browser.post(f"{self._url}/flow_runs/{self.flow_run_id}/resume", json={"run_input": answer})
        self.told.append((answer, said.json()["status"] if said.is_success else str(said.status_code)))

    @property
    def who_decided(self) -> list[Answer]:
        return [answer for answer, told in self.told if told == "ACCEPT"]


async def _one_of_them_decides(server: PrefectServer, folder: Path, answers: list[Answer]) -> None:
    async def all_at_once(people: People) -> None:
        await people.read_page()
        await asyncio.gather(*(people.answer(answer) for answer in answers))

    people = People(server, all_at_once)
    async with case_on(server, folder) as case:
        run = await case.runs.execute(lambda: case.body(people))
        assert run.result == "Done."
        (winner,) = people.who_decided
        # The others know: too late (ABORT), or an error that says that it was not done.
        assert {told for _, told in people.told} <= {"ACCEPT", "ABORT", "409", "503"}
        ((_, decision),) = await case.ledger(run)
        assert decision is not None
        assert (decision.claimed_name, decision.attempts) == (winner.get("name", "unidentified"), 1)
        assert decision.outcome == ("approved" if winner.get("approve") else "denied")
        assert case.paid == ([20.0] if winner.get("approve") else [])


@pytest.mark.parametrize("turn", range(2))
async def test_one_of_several_decides_on_sqlite(prefect_server: PrefectServer, tmp_path: Path, turn: int) -> None:
    answers = [*ANSWERS, EMPTY]
    await _one_of_them_decides(prefect_server, tmp_path / "case", answers[turn:] + answers[:turn])


@pytest.mark.parametrize("turn", range(2))
async def test_one_of_several_decides_on_postgres(on_postgres: OnPostgres, tmp_path: Path, turn: int) -> None:
    await _one_of_them_decides(on_postgres.server, tmp_path / "case", ANSWERS[turn:] + ANSWERS[:turn])


async def _two_are_accepted(on_postgres: OnPostgres, people: People, first: Answer, second: Answer) -> None:
    await people.read_page()
    with on_postgres.late(people.flow_run_id) as requests_that_wait:
        answering: list[asyncio.Task[None]] = []
        for answer in (first, second):
            answering.append(asyncio.create_task(people.answer(answer)))
            while requests_that_wait() < len(answering):
                await asyncio.sleep(0.02)
    await asyncio.gather(*answering)
    assert [told for _, told in people.told] == ["ACCEPT", "ACCEPT"]


@pytest.mark.parametrize(
    ("first", "second", "then", "paid"),
    [(EMPTY, YES, YES, [20.0]), (YES, EMPTY, {"name": "Max"}, []), (EMPTY, EMPTY, YES, [20.0])],
)
async def test_an_empty_form_beside_another_decides_nothing(
    on_postgres: OnPostgres, tmp_path: Path, first: Answer, second: Answer, then: Answer, paid: list[float]
) -> None:
    """On Postgres the server reads that a run is paused before it locks it, and takes both: asked again, with why."""

    async def both_then_one(people: People) -> None:
        await _two_are_accepted(on_postgres, people, first, second)
        await people.read_page()
        assert case.paid == []
        await people.answer(then)

    people = People(on_postgres.server, both_then_one)
    async with case_on(on_postgres.server, tmp_path / "case") as case:
        run = await case.runs.execute(lambda: case.body(people))
        assert run.result == "Done."
        assert ["in the same moment" in page for page in people.pages] == [False, True]
        ((_, decision),) = await case.ledger(run)
        assert decision is not None
        assert (decision.outcome, decision.attempts) == ("approved" if paid else "denied", 2)
        assert case.paid == paid


async def test_when_nobody_answers_again_the_policy_does(on_postgres: OnPostgres, tmp_path: Path) -> None:
    people = People(on_postgres.server, lambda people: _two_are_accepted(on_postgres, people, EMPTY, YES))
    async with case_on(on_postgres.server, tmp_path / "case", time_to_live_seconds=6) as case:
        run = await case.runs.execute(lambda: case.body(people))
        assert run.result == "Done."
        ((_, decision),) = await case.ledger(run)
        assert decision is not None
        assert (decision.outcome, decision.way) == ("expired", "policy")
        assert case.paid == []
