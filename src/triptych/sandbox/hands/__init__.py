"""What runs inside the box."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

MODULES = ("frames", "processes", "files", "laying", "snapshots", "tunnel", "serve")
"""In the order in which they need each other; the last one is the program."""
_LOADER = """
import json, sys, types
for name, source in json.loads(sys.argv[1]):
    module = types.ModuleType(name)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
    exec(compile(source, name, "exec"), module.__dict__)
module.serve(json.loads(sys.argv[2]))
"""


def command(config: Mapping[str, object]) -> list[str]:
    """Return the command of a container of hands; `config` is what `serve.serve` takes."""
    here = resources.files(__name__)
    sources = [(__name__, "")]
    sources += [(f"{__name__}.{name}", (here / f"{name}.py").read_text()) for name in MODULES]
    return ["python3", "-I", "-S", "-c", _LOADER, json.dumps(sources), json.dumps(dict(config))]
