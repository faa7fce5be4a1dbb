"""A flow that says what its process is like, and can be asked to stay."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from prefect import flow
from prefect.settings import get_current_settings

NEW_EVERY_TIME = {
    "PREFECT__CONTROL_PORT",
    "PREFECT__CONTROL_TOKEN",
    "PREFECT__FLOW_RUN_ID",
}


@flow
def probing(into: str, seconds: float = 0) -> None:
    # The cold one has folders more than once.
    path = list(dict.fromkeys(each for each in sys.path if "prefect" not in Path(each).name))
    seen = {
        "argv": [Path(each).name for each in sys.argv],
        "cwd": os.getcwd(),
        "environment": {name: value for name, value in os.environ.items() if name not in NEW_EVERY_TIME},
        "main": sys.modules["__main__"].__name__,
        "path": path,
        "settings": get_current_settings().to_environment_variables(exclude_unset=True),
        "leads_its_group": os.getpgrp() == os.getpid(),
        "thread": threading.current_thread() is threading.main_thread(),
        "module": __name__,
        # Not compared: what tells the two apart.
        "parent": os.getppid(),
        "program": Path("/proc/self/cmdline").read_text().split("\0")[1:-1],
        "pid": os.getpid(),
    }
    Path(into).write_text(json.dumps(seen))
    time.sleep(seconds)
