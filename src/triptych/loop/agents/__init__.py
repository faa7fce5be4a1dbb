"""Agents by name: ours, or a module of your own with the same four attributes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Protocol, cast

from pydantic_ai import Agent
from pydantic_ai.capabilities import AgentCapability
from pydantic_ai.models import Model

from triptych.errors import ConfigurationError
from triptych.loop.limits import Limits
from triptych.settings import Settings

OURS = ("orders", "retail")
"""Names that stand for modules of this package."""


class AgentModule(Protocol):
    """What a module must offer to be run by Triptych; `triptych.loop.agents.orders` is the example to copy."""

    @property
    def NAME(self) -> str:
        """The agent's name: fixed, since checkpoints are found by it."""
        ...

    @property
    def LIMITS(self) -> Limits:
        """What one run may spend where nobody says otherwise."""
        ...

    def build_agent(self, model: Model | str, *, capabilities: Sequence[AgentCapability[Any]] = ()) -> Agent[Any, Any]:
        """Build the agent, with its toolsets given at construction, each under a fixed id."""
        ...

    def open_deps(self, settings: Settings) -> AbstractContextManager[Any]:
        """Open what the tools work on, for as long as one run takes."""
        ...


def load_agent(name: str) -> AgentModule:
    """Find an agent.

    Args:
        name: One of `OURS`, or the dotted path of a module of your own that can be imported here.

    Returns:
        The module, checked.

    Raises:
        ConfigurationError: There is no such module, it cannot be imported, or it lacks an attribute. Nothing has
            been spent. The operator sees it.
    """
    path = f"{__name__}.{name}" if name in OURS else name
    if name not in OURS and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        raise ConfigurationError(f"there is no agent {name!r}: use {' or '.join(OURS)}, or the dotted path of a module")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as reason:
        if reason.name is not None and f"{path}.".startswith(f"{reason.name}."):
            raise ConfigurationError(
                f"the agent {name!r} cannot be found: no module named {reason.name!r}. Is it installed here?"
            ) from reason
        raise ConfigurationError(f"the agent {name!r} cannot be imported: {reason}") from reason
    except ImportError as reason:
        raise ConfigurationError(f"the agent {name!r} cannot be imported: {reason}") from reason
    _check(name, module)
    return cast(AgentModule, module)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_limits(value: object) -> bool:
    return isinstance(value, Limits)


_FITS: Mapping[str, Callable[[object], bool]] = {
    "NAME": _is_name,
    "LIMITS": _is_limits,
    "build_agent": callable,
    "open_deps": callable,
}


def _check(name: str, module: ModuleType) -> None:
    missing = [each for each in _FITS if not hasattr(module, each)]
    if missing:
        raise ConfigurationError(
            f"the agent {name!r} lacks {', '.join(missing)}: a module needs NAME, LIMITS, build_agent and open_deps; "
            "see triptych.loop.agents.orders"
        )
    wrong = [each for each, fits in _FITS.items() if not fits(getattr(module, each))]
    if wrong:
        raise ConfigurationError(
            f"the agent {name!r} has the wrong kind of {', '.join(wrong)}: NAME is a text, LIMITS a "
            "triptych.loop.limits.Limits, build_agent and open_deps are functions; see triptych.loop.agents.orders"
        )
