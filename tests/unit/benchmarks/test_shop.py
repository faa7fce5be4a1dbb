"""The shop's client says whether a call may be made again, makes it once, and loads next to nothing."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import shop

SPEC = {"name": "look", "description": "Look.", "parameters": {"type": "object"}, "changes": False}


class Counter:
    """A shop that answers with what it was set to."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/shop/a"
        self.status = 200
        self.body: Any = {"result": "done"}
        self.silent = False
        self.seen: list[tuple[str, str | None, Any]] = []
        self.over = threading.Event()


@pytest.fixture
def counter() -> Iterator[Counter]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["content-length"])))
            there.seen.append((self.path, self.headers["idempotency-key"], given))
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            if there.silent:
                there.over.wait(60)
                return
            data = there.body if isinstance(there.body, bytes) else json.dumps(there.body).encode()
            self.send_response(there.status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        there = Counter(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield there
        there.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture(params=["call", "acall"])
def call(request: pytest.FixtureRequest) -> Any:
    """Both ways to make a call."""
    return shop.call if request.param == "call" else _awaited


def _awaited(*args: Any, **more: Any) -> str:
    return asyncio.run(shop.acall(*args, **more))


def test_a_call_says_all_that_the_shop_needs(counter: Counter, call: Any) -> None:
    assert call(counter.url, "refund", {"amount": 1}, idempotency_key="k") == "done"
    assert call(f"{counter.url}/", "look", {}) == "done"
    assert counter.seen == [("/shop/a/refund", "k", {"amount": 1}), ("/shop/a/look", None, {})]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_be_made_again_is_not_made_again_here(counter: Counter, call: Any, status: int) -> None:
    counter.status, counter.body = status, {"error": "busy"}
    with pytest.raises(shop.ShopUnavailable, match=f"refund.*{status}"):
        call(counter.url, "refund", {})
    assert len(counter.seen) == 1


@pytest.mark.parametrize(
    ("body", "says"), [({"error": "no such order"}, "no such order"), (b"<html>", "400"), ([1], "400")]
)
def test_what_is_refused_says_why(counter: Counter, call: Any, body: Any, says: str) -> None:
    counter.status, counter.body = 400, body
    with pytest.raises(shop.ShopRefused, match=says):
        call(counter.url, "refund", {})


def test_silence_is_unavailable(counter: Counter, call: Any) -> None:
    counter.silent = True
    with pytest.raises(shop.ShopUnavailable, match="ReadTimeout"):
        call(counter.url, "refund", {}, timeout_seconds=0.2)


def test_nobody_there_is_unavailable(call: Any) -> None:
    with pytest.raises(shop.ShopUnavailable, match="ConnectError"):
        call("http://127.0.0.1:1/shop/a", "refund", {})


def test_tools_are_read_from_the_shop_or_a_file(counter: Counter, tmp_path: Path) -> None:
    counter.body = [SPEC]
    kept = tmp_path / "tools.json"
    kept.write_text(json.dumps([SPEC]))
    (spec,) = shop.tools(counter.url)
    assert shop.tools(kept) == shop.tools(str(kept)) == [spec]
    assert (spec.name, spec.changes) == ("look", False)
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    assert spec.as_openai() == {"type": "function", "function": function}
    counter.status = 503
    with pytest.raises(shop.ShopUnavailable):
        shop.tools(counter.url)


def test_errors_outlive_pickling() -> None:
    for error in (shop.ShopUnavailable("why"), shop.ShopRefused("why")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), "why")


def test_it_loads_neither_triptych_nor_what_the_benchmark_is_made_of() -> None:
    program = "import sys, benchmarks.shop; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "httpx" in loaded
    assert not {"triptych", "pydantic", "openai", "prefect", "pydantic_ai"} & set(loaded)
