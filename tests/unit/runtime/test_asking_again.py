"""What a server refuses for a locked database, and answers all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tests.components.prefect_server import PrefectServer
from triptych.runtime.asking_again import AskingAgain


class Locked:
    """A server that is locked at first: it answers each request like Prefect's, by an error handler."""

    def __init__(self, times: int) -> None:
        self.asked: list[bytes] = []
        self._times = times

    async def answer(self, request: Request) -> JSONResponse:
        self.asked.append(await request.body())
        if len(self.asked) <= self._times:
            raise sqlite3.OperationalError("database is locked")
        if request.query_params.get("broken"):
            raise ValueError("broken")
        return JSONResponse({"path": request.url.path, "body": (await request.body()).decode()})

    async def ask(
        self, method: str = "PATCH", path: str = "/api/labels", pauses: Sequence[float] = (0, 0), most: float = 60
    ) -> object:
        async def refuse(_request: Request, error: Exception) -> JSONResponse:
            locked = isinstance(error, sqlite3.OperationalError)
            return JSONResponse({"said": str(error)}, status_code=503 if locked else 500)

        inner = Starlette(
            routes=[Route("/labels", self.answer, methods=["GET", "PATCH"])], exception_handlers={Exception: refuse}
        )
        app = Starlette(routes=[Mount("/api", inner)])
        app.add_middleware(AskingAgain, pauses=pauses, most_seconds=most)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, content=b"" if method == "GET" else b"of a request")


async def test_a_refused_request_is_tried_again_with_all_that_it_said() -> None:
    server = Locked(times=2)
    answer = await server.ask()
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 200
    assert answer.json() == {"path": "/api/labels", "body": "of a request"}
    assert server.asked == [b"of a request"] * 3


async def test_the_last_refusal_is_its_answer() -> None:
    server = Locked(times=99)
    answer = await server.ask()
    assert isinstance(answer, httpx.Response)
    assert (answer.status_code, answer.json()) == (503, {"said": "database is locked"})
    assert len(server.asked) == 3


async def test_a_refusal_that_comes_late_is_the_answer_as_its_sender_may_have_gone() -> None:
    server = Locked(times=1)
    answer = await server.ask(most=0)
    assert isinstance(answer, httpx.Response)
    assert (answer.status_code, len(server.asked)) == (503, 1)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/labels", 503), ("PATCH", "/api/labels?broken=1", 500)]
)
async def test_what_changes_nothing_or_is_no_refusal_is_answered_once(method: str, path: str, status: int) -> None:
    server = Locked(times=1 if method == "GET" else 0)
    answer = await server.ask(method, path)
    assert isinstance(answer, httpx.Response)
    assert (answer.status_code, len(server.asked)) == (status, 1)


def test_a_prefect_server_on_sqlite_refuses_no_writer_of_two(prefect_server: PrefectServer) -> None:
    """Labels are read and then written in one transaction: without this, some of these are refused."""
    with httpx.Client(base_url=prefect_server.api_url, timeout=120) as client:
        flow = client.post("/flows/", json={"name": "labelled"}).raise_for_status().json()["id"]
        runs = [
            client.post("/flow_runs/", json={"flow_id": flow, "name": f"labelled-{n}"}).raise_for_status().json()["id"]
            for n in range(8)
        ]

        def label(number: int) -> int:
            return client.patch(f"/flow_runs/{runs[number % 8]}/labels", json={"number": number}).status_code

        # Two: of more, on a busy machine, one might be refused for as long as a request is tried.
        with ThreadPoolExecutor(2) as threads:
            assert set(threads.map(label, range(120))) == {204}
