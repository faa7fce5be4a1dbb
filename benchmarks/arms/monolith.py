"""A LangGraph agent in one long-lived server, which keeps its threads in SQLite and handles all of them at once.

A ticket is a thread. Its client asks for it to be run, and hears what came of it on the same connection; when that is
lost it asks again, and the thread goes on from its last checkpoint. That is also how threads go on after the server was
killed: LangGraph resumes a thread that is invoked again by its id, and does not itself look for those that should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypedDict, cast

import uvicorn
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command, RetryPolicy, Send, StateSnapshot, interrupt
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks import code, shop
from benchmarks.contract import APPROVAL_ABOVE_USD, MODEL


class Ticket(MessagesState):
    """What a thread keeps."""

    shop_url: str


class OneCall(TypedDict):
    """What the tool's node is given: one call, so that each has a checkpoint of its own."""

    shop_url: str
    call: ToolCall


Graph = CompiledStateGraph[Ticket, None, Ticket, Ticket]


def build_graph(instructions: str, specs: Sequence[shop.ToolSpec], checkpointer: BaseCheckpointSaver[str]) -> Graph:
    """Build the agent: ask the model, ask a person where one is needed, make the calls, and so on to an answer."""
    model = ChatOpenAI(
        model=MODEL,
        base_url=os.environ["MODEL_URL"],
        api_key=SecretStr(os.environ["OPENAI_API_KEY"]),
        timeout=30,
        max_retries=2,
        streaming=True,
        stream_usage=True,
    )
    model = cast(Runnable[Any, AIMessage], cast(Any, model).bind_tools([spec.as_openai() for spec in specs]))

    async def agent(state: Ticket) -> dict[str, Any]:
        return {"messages": [await model.ainvoke([SystemMessage(instructions), *state["messages"]])]}

    def route(state: Ticket) -> Sequence[Send] | str:
        calls = cast(AIMessage, state["messages"][-1]).tool_calls
        if any(needs_person(call) for call in calls):
            return "approval"
        return [Send("tool", OneCall(shop_url=state["shop_url"], call=call)) for call in calls] or END

    # A node of its own, with nothing before the interrupt: a node that is resumed begins anew, and what the person said
    # is in a checkpoint before anything is done about it.
    async def approval(state: Ticket) -> Command[Literal["tool", "agent"]]:
        calls = cast(AIMessage, state["messages"][-1]).tool_calls
        declined = [
            call
            for call in calls
            if needs_person(call) and not interrupt({"tool": call["name"], "arguments": call["args"]})
        ]
        allowed = [
            Send("tool", OneCall(shop_url=state["shop_url"], call=each)) for each in calls if each not in declined
        ]
        said = [ToolMessage("A person declined this call.", tool_call_id=str(call["id"])) for call in declined]
        return Command(update={"messages": said}, goto=allowed or "agent")

    async def tool(state: OneCall, config: RunnableConfig) -> dict[str, Any]:
        call, thread = state["call"], config.get("configurable", {})["thread_id"]
        if call["name"] == code.NAME:
            folder = Path(os.environ["WORKSPACES"], thread)
            result = await asyncio.to_thread(code.run_here, call["args"]["code"], folder)
            return {"messages": [ToolMessage(result, tool_call_id=str(call["id"]))]}
        key = f"{thread}:{call['id']}"
        try:
            result = await shop.acall(
                state["shop_url"], call["name"], call["args"], idempotency_key=key, timeout_seconds=2.0
            )
        except shop.ShopRefused as refusal:
            result = f"Error: {refusal}"
        return {"messages": [ToolMessage(result, tool_call_id=str(call["id"]))]}

    # Its methods are typed in part only.
    graph = cast(Any, StateGraph(Ticket))
    graph.add_node("agent", agent, retry_policy=RetryPolicy(max_attempts=3))
    graph.add_node("approval", approval)
    graph.add_node("tool", tool, retry_policy=RetryPolicy(max_attempts=3, retry_on=shop.ShopUnavailable))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", route, ["approval", "tool", END])
    graph.add_edge("tool", "agent")
    return graph.compile(checkpointer=checkpointer)


def needs_person(call: ToolCall) -> bool:
    """Whether a call may be made only once a person has said so."""
    return call["name"] == "refund" and call["args"]["amount"] > APPROVAL_ABOVE_USD


class Threads:
    """Runs threads, each of them once at a time, and stops all of them at their next checkpoint."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._running: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._controls: dict[str, RunControl] = {}
        self.draining = False

    async def run(self, thread: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """Run a thread until it ends or needs a person. It is safe to ask again: what was done is not done anew."""
        if thread not in self._running:
            self._running[thread] = asyncio.create_task(self._run(thread, wanted))
            self._running[thread].add_done_callback(lambda _: self._running.pop(thread))
        # Whoever asked may be gone; the thread goes on.
        return await asyncio.shield(self._running[thread])

    def drain(self) -> None:
        """Stop: every thread at its next checkpoint, from which it goes on when it is run again."""
        self.draining = True
        for control in self._controls.values():
            control.request_drain("stopping")

    async def _run(self, thread: str, wanted: dict[str, Any]) -> dict[str, Any]:
        config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": 1000}
        state = await self._graph.aget_state(config)
        asked = {each.id for each in state.interrupts}
        given: Ticket | Command[Any] | None = None
        if state.created_at is None:
            given = Ticket(messages=[HumanMessage(wanted["instruction"])], shop_url=wanted["shop_url"])
        elif wanted.get("interrupt") in asked:
            # By its id: an answer that comes twice is not taken for that to a later question.
            given = Command(resume={wanted["interrupt"]: wanted["approve"]})
        # `state.next` does not tell whether a thread has ended: it is empty too where a node's result was written and a
        # crash came before the checkpoint. A thread that has ended and is invoked with None does nothing.
        if given is not None or not asked:
            state = await self._invoke(given, config, thread)
        if state.interrupts:
            return {"interrupt": state.interrupts[0].id, "asks": state.interrupts[0].value}
        return {"answer": state.values["messages"][-1].text}

    async def _invoke(self, given: Ticket | Command[Any] | None, config: RunnableConfig, thread: str) -> StateSnapshot:
        control = self._controls[thread] = RunControl()
        if self.draining:
            control.request_drain("stopping")
        try:
            await cast(Any, self._graph).ainvoke(given, config, durability="sync", control=control)
        finally:
            del self._controls[thread]
        return await self._graph.aget_state(config)


def build_app(threads: Threads) -> Starlette:
    """Build the server's HTTP interface."""

    async def run(request: Request) -> JSONResponse:
        if threads.draining:
            return JSONResponse({"error": "stopping"}, 503)
        try:
            return JSONResponse(await threads.run(request.path_params["thread"], await request.json()))
        except GraphDrained:
            return JSONResponse({"error": "stopping"}, 503)
        except Exception as error:
            return JSONResponse({"error": repr(error)}, 500)

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({})

    return Starlette(routes=[Route("/threads/{thread}/run", run, methods=["POST"]), Route("/health", health)])


class Server(uvicorn.Server):
    """A server that has its threads stop at their next checkpoints before it waits for its connections to end."""

    def __init__(self, threads: Threads) -> None:
        config = uvicorn.Config(
            build_app(threads), port=int(os.environ["PORT"]), access_log=False, timeout_graceful_shutdown=60
        )
        super().__init__(config)
        self._threads = threads

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM."""
        self._threads.drain()
        super().handle_exit(sig, frame)


async def main() -> None:
    """Serve until SIGTERM."""
    async with AsyncSqliteSaver.from_conn_string(os.environ["CHECKPOINTS"]) as checkpointer:
        specs = shop.tools(os.environ["SHOP_URL"])
        graph = build_graph(Path(os.environ["INSTRUCTIONS"]).read_text(), specs, checkpointer)
        await Server(Threads(graph)).serve()


if __name__ == "__main__":
    asyncio.run(main())
    # What follows is not the server's.
    raise SystemExit

# -- What the harness needs; no user of this architecture writes it. --

import json  # noqa: E402
import sqlite3  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Generator  # noqa: E402

import httpx  # noqa: E402

from benchmarks.arms.processes import Supervised, free_port, kill_marked, wait_until  # noqa: E402
from benchmarks.arms.protocol import Job, Look, Place  # noqa: E402

SOURCES = ("monolith.py",)
TUNED_BY = (
    "Durable execution - LangGraph, docs.langchain.com/oss/python/langgraph/durable-execution: "
    "a checkpointer and a thread id; durability 'sync'; effects in nodes of their own, with idempotency keys; "
    "a thread that failed is resumed by invoking it with None.",
    "Fault tolerance - LangGraph, docs.langchain.com/oss/python/langgraph/fault-tolerance: "
    "RetryPolicy on nodes that call something; RunControl and GraphDrained on SIGTERM.",
    "Interrupts - LangGraph, docs.langchain.com/oss/python/langgraph/interrupts: "
    "nothing with an effect before interrupt() in its node; Command(resume=...) by the interrupt's id.",
    "Persistence - LangGraph, docs.langchain.com/oss/python/langgraph/persistence: "
    "checkpointers; for production it advises PostgreSQL over SQLite, whose writes are the limit; here SQLite.",
    "ChatOpenAI, reference.langchain.com/python/langchain-openai/ChatOpenAI: max_retries, timeout, stream_usage.",
)
AGAIN_SECONDS = 0.5
"""After which a client asks again, when its connection was lost or the server was stopping."""
TRIES = 3
"""How often a client asks in all when the server answers that a thread's run failed; a second passes, and two."""


class Monolith:
    """The server, watched over by a supervisor, and the clients of its threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._database = place.folder / "state" / "checkpoints.sqlite"
        self._database.parent.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        extra = {
            "PORT": str(port),
            "MODEL_URL": place.model_url,
            "OPENAI_API_KEY": "any",
            "SHOP_URL": f"{place.model_url.removesuffix('/v1')}/shop",
            "INSTRUCTIONS": str(place.instructions),
            "CHECKPOINTS": str(self._database),
            "WORKSPACES": str(place.folder / "workspaces"),
        }
        self._server = Supervised("server", [place.python, "-m", __name__], place, extra)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clients", daemon=True)
        # Each client waits for as long as its thread runs.
        self._http = httpx.AsyncClient(base_url=self._url, timeout=None, limits=httpx.Limits(max_connections=None))
        self._looks: dict[str, Look] = {}
        self._interrupts: dict[str, str] = {}

    def start(self) -> None:
        """Bring everything up."""
        self._thread.start()
        self._server.start()
        self._until_up()

    def submit(self, job: Job) -> None:
        """Have a client ask for the item's thread to be run."""
        self._ask(job, {"instruction": job.instruction, "shop_url": job.shop_url})

    def look(self, job: Job) -> Look:
        """Say what the item's client has heard."""
        return self._looks.get(job.id, Look("unknown"))

    def decide(self, job: Job, approve: bool) -> None:
        """Have the client ask again, with the decision."""
        self._ask(job, {"interrupt": self._interrupts.pop(job.id), "approve": approve})

    def deploy(self) -> dict[str, float]:
        """Stop the server, which takes the new instructions when it starts; threads stop at checkpoints and go on."""
        began = time.perf_counter()
        self._server.stop()
        stopped = time.perf_counter()
        self._server.start()
        self._until_up()
        return {"drain": stopped - began, "start": time.perf_counter() - stopped}

    def restart(self) -> dict[str, float]:
        """Kill the server and its supervisor, and have both back."""
        began = time.perf_counter()
        self._server.kill()
        kill_marked(self._place.mark)
        killed = time.perf_counter()
        self._server.start()
        self._until_up()
        return {"kill": killed - began, "start": time.perf_counter() - killed}

    def store_outage(self, seconds: float) -> None:
        """Hold the database's lock, so that no checkpoint can be written; what is there can be read."""
        with contextlib.closing(sqlite3.connect(self._database, isolation_level=None, timeout=30)) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            database.execute("ROLLBACK")

    def close(self) -> None:
        """End everything."""
        asyncio.run_coroutine_threadsafe(self._close_clients(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._server.kill()
        kill_marked(self._place.mark)

    def _until_up(self) -> None:
        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self._url}/health", timeout=5).is_success
            return False

        wait_until(answers, "the server's first answer")

    def _ask(self, job: Job, wanted: dict[str, Any]) -> None:
        self._looks[job.id] = Look("running")
        asyncio.run_coroutine_threadsafe(self._client(job, wanted), self._loop)

    async def _client(self, job: Job, wanted: dict[str, Any]) -> None:
        failures = 0
        while True:
            try:
                response = await self._http.post(f"/threads/{job.id}/run", json=wanted)
            except httpx.TransportError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if response.status_code == 503:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if response.is_success:
                self._looks[job.id] = self._heard(job, response.json())
                return
            failures += 1
            if failures == TRIES:
                self._looks[job.id] = Look("failed", reason=response.text)
                return
            await asyncio.sleep(failures)

    def _heard(self, job: Job, result: dict[str, Any]) -> Look:
        if "answer" in result:
            return Look("done", answer=result["answer"])
        self._interrupts[job.id] = result["interrupt"]
        call = f"{result['asks']['tool']}({json.dumps(result['asks']['arguments'], sort_keys=True)})"
        return Look("waiting", asks=call)

    async def _close_clients(self) -> None:
        clients = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await self._http.aclose()


@contextlib.contextmanager
def serve(place: Place) -> Generator[Monolith]:
    """Bring up the server, and clients for it."""
    monolith = Monolith(place)
    try:
        monolith.start()
        yield monolith
    finally:
        monolith.close()
