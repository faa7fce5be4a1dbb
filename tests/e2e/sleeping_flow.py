"""A flow that is busy for a while the first time, and done at once when it is brought back."""

from __future__ import annotations

import time

from prefect import flow
from prefect.context import FlowRunContext


@flow
def sleeping(seconds: float) -> None:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    if context.flow_run.run_count <= 1:
        time.sleep(seconds)
