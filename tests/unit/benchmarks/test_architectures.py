"""The command's options, what it refuses, and what it says when it is cut short."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks import architectures
from benchmarks.harness.kept import TRIALS
from tests.components import require
from tests.components.processes import wait_until
from tests.unit.benchmarks.reporting import made
from triptych.errors import ConfigurationError

PROJECT = Path(architectures.__file__).parents[1]


def run(*arguments: str) -> None:
    architectures.run(arguments=arguments, as_json=False)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--seed", "-1"), "--seed: -1 is too small: give 0 or more"),
        (("--rounds", "0"), "--rounds: 0 is too small: give 1 or more"),
        (("--arms", ","), "--arms: ',' names none"),
        (("--workloads", ""), "--workloads: '' names none"),
        (("--arms", "layered,dbos,layered"), "--arms: layered stands in it more than once"),
        (("--workloads", "retail,retail"), "--workloads: retail stands in it more than once"),
    ],
)
def test_an_option_that_would_come_to_nothing_is_refused(
    arguments: tuple[str, str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the command takes from this process."""
    require("rivals")
    for name, value in dict(os.environ).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_tickets_that_cannot_be_read_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no file of tasks"):
        run("--tau", str(tmp_path / "tau"), "--out", str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("environment")
def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            ConfigurationError, match=r"cannot be made a result's folder .*: give another one with --out"
        ):
            run("--out", str(out))


@pytest.mark.usefixtures("environment")
def test_a_result_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / TRIALS).write_text("{}\n")
    with pytest.raises(ConfigurationError, match="holds a result already"):
        run("--out", str(tmp_path))


def result(folder: Path, **about: object) -> Path:
    trials = made.trials(arms=("while_loop", "layered"))
    (folder / "about.json").write_text(made.about(**about).model_dump_json())
    (folder / TRIALS).write_text("".join(f"{trial.model_dump_json()}\n" for trial in trials))
    return folder


def test_a_report_of_a_run_that_was_cut_short_says_so_however_often_it_is_made(tmp_path: Path) -> None:
    require("rivals")
    folder = result(tmp_path, planned={"while_loop": 9, "layered": 9}, arms={"while_loop": {}, "layered": {}})
    for _ in range(2):
        run("report", str(folder))
        (left_out,) = json.loads((folder / "about.json").read_text())["left_out"]
        assert "of 9 trials of `layered`" in left_out
        assert left_out in (folder / "report.md").read_text()


def test_a_result_of_another_version_stands_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="by whose rules its trials mean something else"):
        run("report", str(result(tmp_path, benchmark_version=99)))
    assert not (tmp_path / "report.md").exists()


@pytest.mark.parametrize(("text", "why"), [("{", "Invalid JSON: .* at line 1"), ('{"seed": 1}', "`profile`: Field")])
def test_a_description_that_cannot_be_read_is_named(tmp_path: Path, text: str, why: str) -> None:
    (result(tmp_path) / "about.json").write_text(text)
    with pytest.raises(ConfigurationError, match=rf"about\.json cannot be read as a result's \({why}"):
        run("report", str(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_run_that_is_ended_says_what_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    require("rivals")
    out, log = tmp_path / "out", tmp_path / "log"
    # Whoever began this may have it ignored, as what runs in the background has.
    heard = f"signal.signal({int(number)}, signal.SIG_DFL); os.execv(sys.executable, sys.orig_argv[3:])"
    command = [sys.executable, "-c", f"import os, signal, sys; {heard}", sys.executable, "-m", "triptych", "bench"]
    command += ["--arms", "while_loop", "--workloads", "retail"]
    with log.open("wb") as said:
        process = subprocess.Popen([*command, "--out", str(out)], cwd=PROJECT, stdout=said, stderr=said)
    try:
        trials = out / TRIALS
        wait_until(lambda: trials.exists() and b"\n" in trials.read_bytes(), "a trial's end", timeout_seconds=120)
        process.send_signal(number)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    assert f"1 of 3 trials are kept: `triptych bench report {out}` makes a report of them" in log.read_text()
    before = json.loads((out / "about.json").read_text())
    assert before["planned"] == {"while_loop": 3}
    if number != signal.SIGTERM:
        return

    # It is gone on with: what is over is not run again, and what was cut short is.
    (kept,) = (out / TRIALS).read_text().splitlines()
    with (out / TRIALS).open("a") as file:
        file.write(kept[:500])
    again = [*command[3:], "--out", str(out), "--resume"]
    done = subprocess.run([*again, "--seed", "2"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "would not be of the same: seed (1, now 2)" in " ".join(done.stderr.split())
    assert (out / TRIALS).read_text() == f"{kept}\n{kept[:500]}"
    done = subprocess.run(again, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    first, *others = (out / TRIALS).read_text().splitlines()
    assert first == kept
    assert len(others) == 2
    assert len({json.loads(each)["plan"]["name"] for each in (first, *others)}) == 3
    after = json.loads((out / "about.json").read_text())
    began = [datetime.fromisoformat(about["began_at"]) for about in (before, after)]
    assert (began[0], after["left_out"]) == (began[1], [])
    assert len(after["resumed_at"]) == 1


def test_what_nohup_has_it_ignore_stays_ignored(tmp_path: Path) -> None:
    require("rivals")
    out = tmp_path / "out"
    command = ["nohup", sys.executable, "-m", "triptych", "bench", "--arms", "while_loop", "--workloads", "retail"]
    with (tmp_path / "log").open("wb") as said:
        process = subprocess.Popen([*command, "--out", str(out)], cwd=PROJECT, stdout=said, stderr=said)
    try:
        wait_until((out / TRIALS).exists, "its beginning", timeout_seconds=60)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: (out / TRIALS).stat().st_size > 0, "a trial's end", timeout_seconds=120)
    finally:
        process.terminate()
        process.wait(60)
