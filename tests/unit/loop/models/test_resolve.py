"""From a model id to a model, or to words that say how to mend it; no key is needed, and none is ever shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelHTTPError, ModelRequestTimeout
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from tests.unit.loop.models.toy_agent import PLAN, toy_agent
from triptych.errors import ConfigurationError
from triptych.loop.models import ScriptedModel, resolve_model
from triptych.loop.models.pricing import check_priced
from triptych.loop.models.resolve import REQUEST_TIMEOUT_SECONDS
from triptych.loop.witness import Witness
from triptych.settings import ScriptedSettings, Settings

KEY = "sk-this-is-not-a-key"
MESSAGES: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Go.")])]
REAL = ["anthropic:claude-sonnet-5", "openai:gpt-5", "openai-chat:gpt-5"]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


class Provider(ThreadingHTTPServer):
    """A provider that is out of order: it refuses each request with status 500, or keeps it waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refuse)
        self.requests = 0
        self.hang = False
        self.released = threading.Event()


class _Refuse(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Provider)
        self.server.requests += 1
        if self.server.hang:
            self.server.released.wait(60)
            self.close_connection = True
            return
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def provider(keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def test_scripted_takes_its_plan_pace_and_witness(tmp_path: Any) -> None:
    witness = Witness(tmp_path / "w.jsonl")

    model = resolve_model("scripted", plan=PLAN, scripted=ScriptedSettings(chunk_characters=7), witness=witness)

    assert isinstance(model, ScriptedModel)
    assert (model.plan, model.pace.chunk_characters, model.witness) == (PLAN, 7, witness)


def test_scripted_without_a_plan() -> None:
    with pytest.raises(ConfigurationError, match="needs a plan"):
        resolve_model("scripted")


@pytest.mark.parametrize(
    ("model_id", "complaint"),
    [
        ("anthropic:claude-sonnet-5", "set the environment variable ANTHROPIC_API_KEY, or TRIPTYCH_MODEL=scripted"),
        ("openai:gpt-5", "set the environment variable OPENAI_API_KEY, or"),
        ("openai-chat:gpt-5", "set the environment variable OPENAI_API_KEY, or"),
        ("ollama:llama3", "set the environment variable OLLAMA_BASE_URL, or"),
        ("groq:llama-3.3-70b", r"needs a package that is not installed: `pip install 'pydantic-ai-slim\[groq\]'`"),
        ("mistral:large", r"pydantic-ai-slim\[mistral\]"),
        (
            "nope:gpt-5",
            "Unknown model: nope:gpt-5.* write provider:model, as in anthropic:claude-sonnet-5, or scripted",
        ),
        ("gpt-5", "Did you mean 'openai-chat:gpt-5'"),
        ("", "the model '' cannot be used"),
    ],
)
def test_what_cannot_be_used_says_how_to_mend_it(model_id: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        resolve_model(model_id)


@pytest.mark.parametrize(
    ("model_id", "complaint"),
    [
        ("anthropic:claude-sonet-5", "did you mean anthropic:claude-sonnet-5?"),
        ("anthropic:no-such-thing-at-all", "is unknown. One that is newer"),
        ("anthropic:", "is unknown"),
        ("openai:gpt-five", "is unknown"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_a_model_that_its_provider_does_not_have(model_id: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        resolve_model(model_id)


@pytest.mark.parametrize("model_id", [*REAL, "openai:gpt-4o-2024-08-06", "openai:ft:gpt-4o:us::1"])
@pytest.mark.usefixtures("keys")
def test_known_dated_and_tuned_models_are_taken(model_id: str) -> None:
    assert resolve_model(model_id).model_name == model_id.partition(":")[2]


@pytest.mark.usefixtures("keys")
def test_somebody_s_own_server_knows_its_own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")

    model = resolve_model("openai-chat:my-own-model")

    with pytest.raises(ConfigurationError, match=r"price of .*my-own-model is not known"):
        check_priced(model)


@pytest.mark.parametrize("model_id", REAL)
@pytest.mark.usefixtures("keys")
def test_a_real_model_has_a_price(model_id: str) -> None:
    check_priced(resolve_model(model_id))


@pytest.mark.parametrize("model_id", REAL[:2])
@pytest.mark.parametrize("key", ["", " ", f"{KEY}\n", f"{KEY} ", f"\u201c{KEY}\u201d"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, model_id: str, key: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    monkeypatch.setenv("OPENAI_API_KEY", key)

    with pytest.raises(ConfigurationError) as caught:
        resolve_model(model_id)

    assert KEY not in str(caught.value)


@pytest.mark.parametrize("model_id", REAL)
@pytest.mark.usefixtures("keys")
def test_the_key_does_not_show_in_the_model(model_id: str) -> None:
    model = resolve_model(model_id)

    assert KEY not in repr(model)
    assert KEY not in repr(model.settings)


@pytest.mark.parametrize("model_id", REAL)
@pytest.mark.usefixtures("keys")
def test_every_request_has_a_timeout_and_no_retries(model_id: str) -> None:
    bounds = {"max_retries": 0, "timeout": REQUEST_TIMEOUT_SECONDS, "request_timeout": REQUEST_TIMEOUT_SECONDS}

    assert resolve_model(model_id).settings == bounds
    assert (resolve_model(model_id, request_timeout_seconds=7).settings or {}).get("request_timeout") == 7
    assert Settings().request_timeout_seconds == REQUEST_TIMEOUT_SECONDS


@pytest.mark.parametrize("model_id", REAL)
async def test_an_agent_sends_a_failing_request_once(provider: Provider, model_id: str) -> None:
    async with toy_agent(resolve_model(model_id)) as agent:
        with pytest.raises(ModelHTTPError) as caught:
            await agent.run("Go.")

    assert provider.requests == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("model_id", REAL)
async def test_a_request_without_an_agent_is_bounded_too(provider: Provider, model_id: str) -> None:
    async with resolve_model(model_id) as model:
        for settings in (None, ModelSettings(max_tokens=5)):
            with pytest.raises(ModelHTTPError):
                await model.request(MESSAGES, settings, ModelRequestParameters())
        with pytest.raises(ModelHTTPError):
            async with model.request_stream(MESSAGES, None, ModelRequestParameters()):
                pytest.fail("it opened")

    assert provider.requests == 3


@pytest.mark.parametrize("model_id", REAL)
async def test_a_provider_that_does_not_answer_is_given_up(provider: Provider, model_id: str) -> None:
    provider.hang = True

    async with toy_agent(resolve_model(model_id, request_timeout_seconds=0.3)) as agent:
        with pytest.raises(ModelRequestTimeout):
            await agent.run("Go.")

    assert provider.requests == 1


async def test_a_model_that_ignores_a_bound_is_not_given_it() -> None:
    """Pydantic-ai warns of a setting that a model ignores, and warnings are errors here."""
    from pydantic_ai.models.test import TestModel

    from triptych.loop.models.resolve import BoundedModel

    class Deaf(TestModel):
        unsupported_settings = frozenset({"max_retries", "timeout"})

    model = BoundedModel(Deaf(call_tools=[]))

    assert model.settings == {"request_timeout": REQUEST_TIMEOUT_SECONDS}
    await toy_agent(model).run("Go.")
