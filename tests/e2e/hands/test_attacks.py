"""What code in a box tries, and does not get. What was tried is printed at the end of the run."""

from __future__ import annotations

import asyncio
import json
import socket
import tarfile
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from pydantic_ai.workspaces import WorkspaceOutputLimitError, WorkspaceTimeoutError

from tests.components.sandbox import CANARY, Broker
from tests.e2e.hands.boxes import Tried, box, report
from tests.e2e.stack import poll
from triptych.sandbox.box import Sandbox
from triptych.sandbox.policy import USER_ID

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]


@pytest.fixture
async def hands(broker: Broker) -> AsyncIterator[Sandbox]:
    async with box(broker) as made:
        yield made


class Listener:
    """Listens on every address of this machine, and counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("", 0))
        self.port: int = self._socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            caller.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def addresses() -> list[str]:
    """Every IPv4 address that this machine has now, Docker's bridges among them."""
    found = psutil.net_if_addrs().values()
    return sorted({each.address for card in found for each in card if each.family == socket.AF_INET})


CONNECT = """
    import json, socket, sys
    results = {}
    for address in json.loads(sys.argv[1]):
        try:
            socket.create_connection((address, int(sys.argv[2])), 3).close()
            results[address] = "reached"
        except OSError as error:
            results[address] = type(error).__name__
    try:
        results["dns"] = socket.gethostbyname("example.com")
    except OSError as error:
        results["dns"] = type(error).__name__
    results["cards"] = sorted(name for _, name in socket.if_nameindex())
    print(json.dumps(results))
"""


async def test_no_address_of_this_machine_is_reached(hands: Sandbox, listener: Listener, tried: Tried) -> None:
    targets = addresses()
    results = await report(hands, CONNECT, json.dumps(targets), str(listener.port))
    tried(f"connecting to port {listener.port} at {', '.join(targets)}; a name server: {results}")
    assert results.pop("cards") == ["lo"]
    assert results.pop("dns") == "gaierror"
    assert "reached" not in results.values()
    assert listener.calls == 0
    # The listener is one that can be reached.
    for address in targets:
        socket.create_connection((address, listener.port), 3).close()
    poll("the calls from outside", lambda: listener.calls == len(targets))


SEARCH = """
    import json, os, stat
    wanted, found, read, sockets = b"CANARY" + b"-", [], 0, []
    for folder, folders, files in os.walk("/"):
        if folder in ("/sys", "/proc/1/task"):
            folders[:] = []
        for name in files:
            path = os.path.join(folder, name)
            try:
                mode = os.lstat(path).st_mode
                if stat.S_ISSOCK(mode):
                    sockets.append(path)
                if stat.S_ISREG(mode):
                    with open(path, "rb") as file:
                        if wanted in file.read(4_000_000):
                            found.append(path)
                    read += 1
            except OSError:
                pass
    print(json.dumps({
        "found": found, "read": read, "sockets": sockets, "env": dict(os.environ),
        "mounts": open("/proc/self/mountinfo").read(), "abstract": open("/proc/net/unix").read().splitlines()[1:],
    }))
"""


async def test_no_credential_and_no_socket_is_found(hands: Sandbox, tried: Tried) -> None:
    # What is found where it is.
    await hands.workspace.write_text("planted", CANARY)
    results = await report(hands, SEARCH)
    tried(f"reading {results['read']} files, the environment, mounts and sockets for a secret of this machine")
    assert results["read"] > 1000
    assert results["found"] == ["/workspace/planted"]
    assert results["sockets"] == []
    # The search itself has none open but those that nothing else can reach.
    assert not any("docker" in line or "@" in line or "broker" in line for line in results["abstract"])
    harmless = {"PATH", "HOME", "HOSTNAME", "PWD", "LC_CTYPE", "LANG"}
    assert set(results["env"]) <= harmless | {"PYTHON_VERSION", "GPG_KEY", "PYTHONDONTWRITEBYTECODE"}
    # Nothing of this machine's disk, but for the three files that Docker makes for every container.
    sources = {line.split()[4]: line.split(" - ")[1].split()[0] for line in results["mounts"].splitlines()}
    disks = {place for place, kind in sources.items() if kind not in ("tmpfs", "proc", "sysfs", "cgroup", "cgroup2")}
    assert disks - {"/dev/pts", "/dev/mqueue"} <= {"/", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}


async def test_it_is_nobody_and_gets_no_more(hands: Sandbox, tried: Tried) -> None:
    program = """
        import ctypes, json, os
        status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        libc = ctypes.CDLL(None, use_errno=True)
        def attempt(call):
            try:
                call()
            except OSError as error:
                return error.strerror
            return "done"
        def system(name, *arguments):
            if getattr(libc, name)(*arguments) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        print(json.dumps({
            "capabilities": sorted({value.strip() for name, value in status.items() if name.startswith("Cap")}),
            "privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(), "user": os.getuid(),
            "root user": attempt(lambda: os.setuid(0)),
            "write /etc/passwd": attempt(lambda: open("/etc/passwd", "a")),
            "write /usr": attempt(lambda: open("/usr/bin/x", "w")),
            "mount": attempt(lambda: system("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
            "namespace": attempt(lambda: system("unshare", 0x10000000)),
            "device": attempt(lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0))),
            "kernel": attempt(lambda: open("/proc/sys/kernel/core_pattern", "w")),
            "reboot": attempt(lambda: open("/proc/sysrq-trigger", "w")),
            "cgroup": attempt(lambda: os.mkdir("/sys/fs/cgroup/x")),
        }))
    """
    results = await report(hands, program)
    tried(f"more rights: {results}")
    assert results.pop("capabilities") == ["0000000000000000"]
    assert (results.pop("privileges"), results.pop("seccomp"), results.pop("user")) == ("1", "2", 10001)
    assert "done" not in results.values()


async def test_the_program_of_the_box_is_left_alone(hands: Sandbox, tried: Tried) -> None:
    program = """
        import ctypes, json, os, signal
        libc = ctypes.CDLL(None, use_errno=True)
        results = {}
        for name in ("mem", "environ", "fd/0", "fd/1", "maps", "cwd"):
            try:
                os.open("/proc/1/" + name, os.O_RDWR if name.startswith("fd") else os.O_RDONLY)
                results[name] = "opened"
            except OSError as error:
                results[name] = error.strerror
        results["trace"] = "done" if libc.ptrace(16, 1, 0, 0) == 0 else os.strerror(ctypes.get_errno())
        for number in set(signal.Signals) - {signal.SIGCHLD}:
            os.kill(1, number)
        print(json.dumps(results))
    """
    results = await report(hands, program)
    tried(f"entering process 1, and every signal to it: {results}")
    assert set(results.values()) <= {"Permission denied", "Operation not permitted"}
    assert (await hands.run(["echo", "alive"])).stdout == "alive\n"


FORGE = """
    import json, struct, sys, zlib
    def frame(header):
        meta = json.dumps(header).encode()
        body = struct.pack(">I", len(meta)) + meta
        return struct.pack(">II", len(body), zlib.crc32(body)) + body
    for stream in (sys.stdout.buffer, sys.stderr.buffer):
        for number in range(100):
            stream.write(frame({"id": number, "kind": "done", "exit_code": 0, "ended_by": "itself"}))
        stream.write(bytes([255]) * 8 + b"triptych" + frame({"kind": "hello", "nonce": "x"}))
        # A piece of Docker's own framing.
        stream.write(struct.pack(">BxxxL", 1, 4) + b"fake")
    sys.exit(3)
"""


async def test_its_output_is_never_read_as_a_frame(hands: Sandbox, tried: Tried) -> None:
    tried("printing forged frames of the channel and of Docker, while another command runs, then ending with 3")
    beside = asyncio.create_task(hands.run("until [ -e go ]; do sleep 0.1; done; echo mine; exit 5", shell=True))
    forged = await hands.run(["python3", "-c", textwrap.dedent(FORGE)])
    assert forged.exit_code == 3
    assert forged.stdout.endswith("fake")
    await hands.workspace.write_bytes("go", b"")
    done = await beside
    assert (done.exit_code, done.stdout) == (5, "mine\n")


async def test_a_link_leads_no_further_than_the_box(hands: Sandbox, tmp_path: Path, tried: Tried) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    links = {"absolute": str(secret), "up": "../" * 20 + str(secret)[1:], "hosts": "/etc/hostname"}
    await hands.run(["mkdir", "out"])
    for name, target in links.items():
        await hands.run(["ln", "-s", target, f"out/{name}"])
    tried(f"links out of the box, read and copied out: {links}")
    for name in ("absolute", "up"):
        with pytest.raises(FileNotFoundError):
            await hands.workspace.read_bytes(f"out/{name}")
    assert await hands.workspace.read_text("out/hosts") == "hands\n"
    await hands.copy_out("out", tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert {each.name: each.linkname for each in archive if each.issym()} == {
            f"./{name}": target for name, target in links.items()
        }
        assert not any(each.isfile() for each in archive)
    assert CANARY.encode() not in (tmp_path / "out.tar").read_bytes()


async def test_a_full_disk_is_the_boxs_own(hands: Sandbox, tried: Tried) -> None:
    free = psutil.disk_usage("/").free
    done = await hands.run("dd if=/dev/zero of=big bs=1M; dd if=/dev/zero of=/tmp/big bs=1M; df -m . /tmp", shell=True)
    tried("filling /workspace and /tmp")
    assert done.stderr.count("No space left on device") == 2
    assert free - psutil.disk_usage("/").free < 64 * 2**20
    with pytest.raises(OSError, match="No space left"):
        await hands.workspace.write_bytes("more", bytes(2**20))
    await hands.workspace.remove("big")
    await hands.workspace.write_bytes("more", bytes(2**20))


async def test_where_memory_runs_out_the_command_ends_and_the_box_lives(hands: Sandbox, tried: Tried) -> None:
    tried("taking memory without end")
    done = await hands.run(
        ["python3", "-c", "held = []\nwhile True: held.append(bytearray(2**24))"], timeout_seconds=120
    )
    assert done.exit_code == 137
    assert (await hands.run(["echo", "alive"])).stdout == "alive\n"


async def test_a_fork_bomb_is_ended_at_its_timeout(hands: Sandbox, tried: Tried) -> None:
    tried("forking without end, each in a session of its own")
    bomb = "import os\nwhile True:\n  try:\n    if os.fork() == 0: os.setsid()\n  except OSError: pass"
    with pytest.raises(WorkspaceTimeoutError):
        await hands.run(["python3", "-c", bomb], timeout_seconds=5)
    count = await hands.run("ls /proc | grep -c '^[0-9]'", shell=True)
    # Process 1, the shell and what it starts.
    assert int(count.stdout) <= 4, count


ESCAPE = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 3)
            open("/workspace/new", "w").write(str(os.getpid()))
            os.rename("/workspace/new", "/workspace/pid")
            time.sleep(3600)
        os._exit(0)
    os.wait()
    time.sleep(3600)
"""


async def test_what_a_cancelled_command_started_ends_with_it(hands: Sandbox, tried: Tried) -> None:
    tried("an orphan in a session of its own, when the command that started it is cancelled")
    running = asyncio.create_task(hands.run(["python3", "-c", textwrap.dedent(ESCAPE)]))
    async with asyncio.timeout(60):
        while not await hands.workspace.exists("pid"):
            await asyncio.sleep(0.05)
    pid = await hands.workspace.read_text("pid")
    assert (await hands.run(["sh", "-c", f"kill -0 {pid}"])).exit_code == 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(60):
        while (await hands.run(["sh", "-c", f"kill -0 {pid}"])).exit_code == 0:
            await asyncio.sleep(0.05)


async def test_what_a_command_leaves_running_on_purpose_lives_on(hands: Sandbox) -> None:
    """A server that one command starts is there for the next one, whatever becomes of a third."""
    await hands.run("sleep 3600 >/dev/null 2>&1 & echo $! >pid", shell=True)
    with pytest.raises(WorkspaceTimeoutError):
        await hands.run(["sleep", "3600"], timeout_seconds=1)
    assert (await hands.run("kill -0 $(cat pid)", shell=True)).exit_code == 0


async def test_a_command_that_begins_while_another_is_ended_is_not_taken_for_what_that_left(hands: Sandbox) -> None:
    for _ in range(20):
        ended = [asyncio.create_task(hands.run(["sleep", "3600"], timeout_seconds=0.2)) for _ in range(8)]
        while not all(each.done() for each in ended):
            begun = await asyncio.gather(*(hands.run(["true"], timeout_seconds=30) for _ in range(8)))
            assert [each.exit_code for each in begun] == [0] * 8
        for each in ended:
            with pytest.raises(WorkspaceTimeoutError):
                await each


async def test_a_flood_of_output_is_cut(hands: Sandbox, tried: Tried) -> None:
    tried("printing without end")
    with pytest.raises(WorkspaceOutputLimitError) as error:
        await hands.run("yes", shell=True, timeout_seconds=60)
    assert error.value.limit == 10 * 2**20
    assert (await hands.run(["echo", "alive"])).stdout == "alive\n"


async def test_it_does_not_outlive_its_box(broker: Broker, tried: Tried) -> None:
    tried("a process in a session of its own, when its box ends")
    async with box(broker) as made:
        await made.run("setsid sleep 3600 </dev/null >/dev/null 2>&1 &", shell=True)
        poll("it sleeps", lambda: sleeping() == 1)
    poll("its end", lambda: sleeping() == 0)


def sleeping() -> int:
    """How many sleeping processes of the user of boxes this machine has."""
    found = 0
    for process in psutil.process_iter():
        try:
            found += process.uids().real == USER_ID and process.name() == "sleep"
        except psutil.Error:
            continue
    return found
