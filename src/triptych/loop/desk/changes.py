"""What a rule reads and what it answers with; rules are pure, the desk does the writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

DeskRecord: TypeAlias = dict[str, Any]
"""One user, order or product, as JSON."""

_ERROR = "Error: "


class Records(Protocol):
    """Where a rule looks things up. What it gets is its own copy."""

    def user(self, user_id: str) -> DeskRecord | None:
        """The user's record; None when there is no such user."""
        ...

    def order(self, order_id: str) -> DeskRecord | None:
        """The order's record; None when there is no such order."""
        ...

    def product(self, product_id: str) -> DeskRecord | None:
        """The product's record; None when there is no such product."""
        ...


@dataclass(frozen=True)
class Change:
    """A rule's answer: what the model is told, and the records that take the place of the old ones."""

    result: str
    """What the tool returns: JSON, a plain value, or `Error: ...`."""
    users: Mapping[str, DeskRecord] = field(default_factory=dict[str, DeskRecord])
    orders: Mapping[str, DeskRecord] = field(default_factory=dict[str, DeskRecord])

    def __post_init__(self) -> None:
        if self.refused and (self.users or self.orders):
            raise ValueError(f"a refusal changes no records, this one does: {self.result}")

    @classmethod
    def refusal(cls, reason: str) -> Change:
        """Nothing is done; the model is told why.

        Args:
            reason: Without the leading `Error: `.
        """
        return cls(result=f"{_ERROR}{reason}")

    @property
    def refused(self) -> bool:
        """Whether this changes nothing and leaves no effect."""
        return is_error(self.result)


def is_error(result: str) -> bool:
    """Whether a tool's result tells the model that nothing was done or found.

    Args:
        result: What the tool returned.
    """
    return result.startswith(_ERROR)


def error(reason: str) -> str:
    """A result that tells the model that nothing was found.

    Args:
        reason: Without the leading `Error: `.
    """
    return f"{_ERROR}{reason}"


def reason_of(result: str) -> str:
    """Why nothing was done or found.

    Args:
        result: One that `is_error`.
    """
    return result.removeprefix(_ERROR)
