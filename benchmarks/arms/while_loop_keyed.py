"""The same function as `while_loop`, with the one change that AWS advises: an event's effects have keys of the event's.

A key is made of the ticket and the call, so an invocation that begins anew comes with the keys of the one that died.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from benchmarks.arms.while_loop import main


def key_of_event(ticket: str, tool: str, arguments: dict[str, Any], nth: int) -> str:
    """A key that is the same whenever this ticket makes this call for this time, in whichever invocation."""
    return hashlib.sha256(json.dumps([ticket, tool, arguments, nth], sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    main(key_of_event)
    # What follows is not the function's.
    raise SystemExit

# -- What the harness needs; no user of this architecture writes it. --

from contextlib import AbstractContextManager  # noqa: E402

from benchmarks.arms import while_loop  # noqa: E402
from benchmarks.arms.protocol import Place, Served  # noqa: E402

SOURCES = ("while_loop.py", "while_loop_keyed.py")
TUNED_BY = (
    *while_loop.TUNED_BY[:1],
    "How do I make my Lambda function idempotent? and Best practices for working with AWS Lambda functions, "
    "docs.aws.amazon.com/lambda/latest/dg/best-practices.html: 'write idempotent code'.",
    "Idempotency - Powertools for AWS Lambda (Python), "
    "docs.aws.amazon.com/powertools/python/latest/utilities/idempotency: "
    "an idempotency key is made of the event's payload, or of a part of it that is the same in every retry.",
    *while_loop.TUNED_BY[2:],
)


def serve(place: Place) -> AbstractContextManager[Served]:
    """Bring up the platform with this function on it."""
    # Not above: the function's own start is measured, and this is not of it.
    from benchmarks.arms.functions import serve_function

    return serve_function(place, __name__)
