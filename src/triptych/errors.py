"""Every error that Triptych raises, sorted by who must act.

```
TriptychError
├── ConfigurationError (ValueError)    the operator wrote something wrong; raised before anything is spent
├── LoopError                          the agent failed at its task: a result, not a fault
│   ├── BudgetExceeded                 steps, tokens, dollars or seconds; carries the usage
│   └── ApprovalRejected               a person said no; carries the reason
├── SandboxError                       the place failed, not the agent: retried by the runtime, never scored
│   ├── SandboxUnavailable
│   └── SandboxLimitHit
├── CheckpointError
│   ├── CheckpointMissing              asked for by name, and not there
│   ├── CheckpointIncompatible         what goes in now is not what went in when the step was recorded
│   ├── CheckpointStoreUnavailable     the store cannot be read or written
│   └── CheckpointTorn                 an object is there and is not whole, or is not a checkpoint
├── EffectConflict                     an idempotency key came a second time, with another call
├── ApprovalExpired                    nobody answered in time and the policy says fail
└── ExecutionSuperseded                another execution owns this run
```

What the *model* should see is none of these: tools raise pydantic-ai's `ModelRetry` or return a typed failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _rebuild(cls: type[TriptychError], args: tuple[Any, ...], state: dict[str, Any]) -> TriptychError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class TriptychError(Exception):
    """The root of the tree above. The message is a sentence a person can act on."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception crosses processes (Prefect states, multiprocessing). The default calls `cls(*args)`,
        # which fails for a constructor with keyword-only parameters; this one restores the state as it was.
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(TriptychError, ValueError):
    """The operator wrote something wrong. Raised before anything is spent; never retried."""


class LoopError(TriptychError):
    """The agent failed at its task. A result to be recorded; retrying alone will not mend it."""


class BudgetExceeded(LoopError):
    """A limit on steps, tokens, dollars or seconds was reached.

    Attributes:
        usage: What had been spent, by unit: `steps`, `tool_calls`, `input_tokens`, `output_tokens`, `cost_usd`.
    """

    def __init__(self, message: str, *, usage: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.usage: dict[str, float] = dict(usage or {})


class ApprovalRejected(LoopError):
    """A person said no.

    Attributes:
        reason: What that person gave as the reason; empty when none was given.
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class SandboxError(TriptychError):
    """The place where code runs failed, not the agent. The runtime retries it; no benchmark scores it."""


class SandboxUnavailable(SandboxError):
    """No sandbox could be had: no engine, no image, no room."""


class SandboxLimitHit(SandboxError):
    """The sandbox reached its memory, cpu, pids, disk or lifetime limit."""


class CheckpointError(TriptychError):
    """A checkpoint cannot be used as it stands."""


class CheckpointMissing(CheckpointError):
    """A checkpoint that was asked for by name is not in the store."""


class CheckpointIncompatible(CheckpointError):
    """What goes into a step now differs from what went in when it was recorded.

    Attributes:
        step: The step's label, as it stands in the Prefect UI.
        change: What differs, in words.
    """

    def __init__(self, message: str, *, step: str = "", change: str = "") -> None:
        super().__init__(message)
        self.step = step
        self.change = change


class CheckpointStoreUnavailable(CheckpointError):
    """The store cannot be read or written. The run stops here and goes on from its last checkpoint later.

    Attributes:
        store: The store's place, without credentials.
        reason: What the storage said.
    """

    def __init__(self, message: str, *, store: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.store = store
        self.reason = reason


class CheckpointTorn(CheckpointError):
    """An object stands at a checkpoint's key and is not whole. Neither a miss nor a result: nothing is guessed."""


class EffectConflict(TriptychError):
    """An idempotency key came a second time with another tool or other arguments: two calls share one key.

    A fault of whoever makes the keys. Neither call's result may stand for the other's, so nothing is done.

    Attributes:
        key: The key that two calls share.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ApprovalExpired(TriptychError):
    """Nobody answered in time and the policy says fail."""


class ExecutionSuperseded(TriptychError):
    """Another execution owns this flow run; this one stops before it does anything more."""
