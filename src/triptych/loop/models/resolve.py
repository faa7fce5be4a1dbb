"""From a model's name in the settings to a model that can be used, or a reason why not, before anything is spent."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from pydantic_ai import RunContext
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, infer_model, known_model_names
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings, merge_model_settings

from triptych.errors import ConfigurationError
from triptych.loop.models.plans import Plan
from triptych.loop.models.pricing import SCRIPTED, SCRIPTED_PRICED_AS, is_priced
from triptych.loop.models.scripted import ScriptedModel
from triptych.loop.witness import Witness
from triptych.settings import ScriptedSettings

REQUEST_TIMEOUT_SECONDS = 120.0


def resolve_model(
    model_id: str,
    *,
    plan: Plan | None = None,
    scripted: ScriptedSettings | None = None,
    witness: Witness | None = None,
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> Model[Any]:
    """The model that an id stands for. Nothing is sent anywhere.

    Args:
        model_id: `scripted`, or any pydantic-ai model id (`anthropic:claude-sonnet-5`).
        plan: What `scripted` plays; other models never see it.
        scripted: The pace of `scripted`.
        witness: Where `scripted` records its requests.
        request_timeout_seconds: For one request to a real model, from sending it to the last chunk of the response.

    Returns:
        The model. A real one fails at once where its provider's SDK would try again: retries belong to the runtime.

    Raises:
        ConfigurationError: There is no such provider or model, its key is missing, or a package is; or `scripted` has
            no plan. The operator sees it; it says how to mend it and holds no key.
    """
    if model_id == SCRIPTED:
        if plan is None:
            raise ConfigurationError("the scripted model needs a plan, and none was given")
        return ScriptedModel(plan, pace=scripted, witness=witness)
    model = _infer(model_id)
    if not _is_known(model_id, model):
        raise ConfigurationError(
            f"the model {model_id} is unknown{_guess(model_id)} One that is newer than the installed genai-prices "
            "becomes known by upgrading that"
        )
    _refuse_malformed_key(model_id, model)
    return BoundedModel(model, request_timeout_seconds)


class BoundedModel(WrapperModel):
    """A real model whose every request has a deadline and is sent once."""

    def __init__(self, wrapped: Model[Any], request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS) -> None:
        """Wrap a model.

        Args:
            wrapped: The model.
            request_timeout_seconds: How long one request may take, to the last chunk of its response.
        """
        super().__init__(wrapped)
        # `timeout` reaches the provider's HTTP client, which may wait that long for each chunk; `request_timeout`
        # is pydantic-ai's own clock over the whole request.
        bounds = ModelSettings(max_retries=0, timeout=request_timeout_seconds, request_timeout=request_timeout_seconds)
        for name in wrapped.unsupported_settings:
            bounds.pop(name, None)  # pydantic-ai warns of a setting that a model would ignore
        self._bounds = bounds

    @property
    def settings(self) -> ModelSettings | None:
        """The bounds, and over them the wrapped model's own settings."""
        return merge_model_settings(self._bounds, self.wrapped.settings)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Pass the request on with the bounds: an agent's settings hold them already, a direct request's do not."""
        bounded = merge_model_settings(self.settings, model_settings)
        return await super().request(messages, bounded, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Pass the request on with the bounds, as `request` does."""
        bounded = merge_model_settings(self.settings, model_settings)
        async with super().request_stream(messages, bounded, model_request_parameters, run_context) as stream:
            yield stream


def _infer(model_id: str) -> Model[Any]:
    try:
        return infer_model(model_id)
    except ImportError as error:
        extra = re.search(r"pydantic-ai-slim\[(\w[\w-]*)\]", str(error))
        install = f"`pip install 'pydantic-ai-slim[{extra[1]}]'`" if extra else str(error)
        raise ConfigurationError(f"the model {model_id} needs a package that is not installed: {install}") from error
    except Exception as error:  # the provider SDKs' own errors have no ancestor in common
        # The messages name the variables, and go on with advice for those who build providers by hand.
        variables = re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", str(error))
        if not variables:
            # Only pydantic-ai's own words are repeated: those of others might quote an address that holds a password.
            said = str(error) if isinstance(error, UserError) else type(error).__name__
            raise ConfigurationError(
                f"the model {model_id!r} cannot be used: {said.rstrip('.')} - write provider:model, as in "
                f"{':'.join(SCRIPTED_PRICED_AS)}, or {SCRIPTED}"
            ) from error
        raise ConfigurationError(
            f"the model {model_id} lacks its provider's access: set the environment variable {' or '.join(variables)}, "
            f"or TRIPTYCH_MODEL={SCRIPTED}, which needs none"
        ) from error


def _is_known(model_id: str, model: Model[Any]) -> bool:
    """Whether the model exists, as far as can be told without asking its provider."""
    if model_id in known_model_names() or is_priced(model) or model.model_name.startswith("ft:"):
        return True
    try:
        get_snapshot().find_provider(None, None, model.base_url)
    except LookupError:
        return True  # somebody's own server, gateway or local model: only they know its models
    return False


def _guess(model_id: str) -> str:
    provider, _, model_name = model_id.partition(":")
    names = [name.removeprefix(f"{provider}:") for name in known_model_names() if name.startswith(f"{provider}:")]
    close = get_close_matches(model_name, names, n=1)
    return f": did you mean {provider}:{close[0]}?" if close else "."


def _refuse_malformed_key(model_id: str, model: Model[Any]) -> None:
    # HTTP libraries print a header value that they refuse, and this header holds the key.
    key: object = getattr(getattr(model.provider, "client", None), "api_key", None)
    if isinstance(key, str) and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigurationError(
            f"the key for {model_id} holds a space, a line break or another character that no key has: copy it again"
        )
