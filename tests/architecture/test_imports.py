"""What importing does: nothing, and of the loop, nothing with Prefect or Docker."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from tests.components.locate import CHECKOUT

OURS = [CHECKOUT / name for name in ("src", "flows", "blocks", "benchmarks")]

# Runs in a fresh process: imports the modules named on the command line, and prints what our own code did meanwhile.
# What a library does while it is itself imported (Prefect makes its home folder) is the library's doing: between that
# and our `import` stands a frame of the import system.
PROBE = """
import json, os, sys, threading
ours = tuple(os.environ["OURS"].split(os.pathsep))
effects = []
names = {
    "os.chmod", "os.fork", "os.link", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.system", "os.truncate", "shutil.rmtree", "signal.signal", "socket.bind", "socket.connect",
    "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen",
}
def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if not writes and event not in names:
        return
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        if frame.f_code.co_filename.startswith(ours):
            effects.append(f"{event} {args!r}"[:200])
            break
        frame = frame.f_back
sys.addaudithook(watch)
for name in sys.argv[1:]:
    __import__(name)
effects += [f"thread {thread.name}" for thread in threading.enumerate() if thread is not threading.main_thread()]
json.dump({"effects": effects, "modules": sorted(sys.modules)}, sys.stderr)
"""


def modules(*roots: str) -> list[str]:
    """Every module below these packages, found without importing one."""
    names: list[str] = []
    for root in roots:
        top = root.partition(".")[0]
        folder = (CHECKOUT / "src" if top == "triptych" else CHECKOUT).joinpath(*root.split("."))
        names.append(root)
        for module in pkgutil.iter_modules([str(folder)], prefix=f"{root}."):
            names += modules(module.name) if module.ispkg else [module.name]
    return names


def probe(names: list[str], path: Path, ours: list[Path]) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, *names],
        env={**os.environ, "OURS": os.pathsep.join(map(str, ours)), "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return json.loads(done.stderr)


def test_the_loop_loads_without_prefect_or_docker():
    loaded = probe(modules("triptych.loop"), CHECKOUT, OURS)["modules"]
    assert "triptych.loop" in loaded
    # pydantic-ai itself loads the neutral part of its durable_exec.
    unwanted = (
        "prefect",
        "docker",
        "aiodocker",
        "pydantic_ai.durable_exec.prefect",
        "triptych.runtime",
        "triptych.sandbox",
    )
    assert [name for name in loaded if name.startswith(unwanted)] == []


def test_importing_has_no_effect():
    assert probe(modules("triptych", "flows", "blocks", "benchmarks"), CHECKOUT, OURS)["effects"] == []


def test_the_probe_sees_effects(tmp_path: Path):
    (tmp_path / "busy.py").write_text(
        "import json.tool, pathlib, socket, subprocess, threading, time\n"
        f"pathlib.Path({str(tmp_path / 'written')!r}).write_text('')\n"
        "socket.socket().connect_ex(('127.0.0.1', 9))\n"
        "subprocess.run(['true'])\n"
        "threading.Thread(target=time.sleep, args=(1,), name='left-behind', daemon=True).start()\n"
    )
    effects = probe(["busy"], tmp_path, [tmp_path])["effects"]
    assert {effect.split(" ")[0] for effect in effects} == {"open", "socket.connect", "subprocess.Popen", "thread"}
