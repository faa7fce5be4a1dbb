"""A result's folder: what was measured comes back as it was, and nothing in it is taken for anything else."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.reporting import write
from benchmarks.reporting.about import About, read_about
from benchmarks.reporting.folder import read_frames
from benchmarks.scoring import BENCHMARK_VERSION
from benchmarks.scoring.frames import COLUMNS, frame
from benchmarks.scoring.rates import load_rates
from tests.components import require
from tests.unit.benchmarks.reporting import made
from triptych.errors import ConfigurationError

PROJECT = Path(__file__).parents[4]
ARMS = ("while_loop", "layered")
EVIL = '<script>alert("1")</script> | `x`\n# so'


@pytest.fixture(autouse=True, scope="module")
def _rivals() -> None:  # pyright: ignore[reportUnusedFunction]
    """What draws, and what writes Parquet, is installed with them."""
    require("rivals")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    frames = made.frames(arms=ARMS, rounds=1)
    frames.left_out.loc[0, "reason"] = EVIL
    folder = tmp_path_factory.mktemp("results") / "some" / "result"
    description = made.about().model_dump(mode="json", exclude={"benchmark_version", "rates"})
    return folder, write(frames, description, folder, trials=made.trials(arms=ARMS))


def test_all_files_are_there(result: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    folder, frames = result
    assert set(frames) == {*COLUMNS, "timeline"}
    plots = ["persistence", "cost", "checkpoints", "recovery", "first_token"]
    expected = [f"{name}.{end}" for name in frames for end in ("csv", "parquet")]
    expected += ["about.json", "report.md", "report.html", *(f"plots/{name}.png" for name in plots)]
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(expected)


def test_frames_come_back_as_they_were(result: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    folder, frames = result
    again = read_frames(folder)
    for name, content in frames.items():
        if not content.empty:
            pd.testing.assert_frame_equal(again[name], content, check_dtype=False)
            pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), content, check_dtype=False)
    # A plan of this name is no missing value, and never is a number.
    assert "none" in set(again["items"]["plan"])
    assert again["left_out"].loc[0, "reason"] == EVIL


def test_never_survives_the_files(tmp_path: Path) -> None:
    frames = made.frames(arms=("while_loop_keyed",), rounds=1)
    write(frames, made.about(), tmp_path)
    assert read_frames(tmp_path)["deploys"]["minutes"].tolist() == [math.inf]
    assert "| never (no interval) |" in (tmp_path / "report.md").read_text()


def test_version_and_rates_are_added_to_the_description(result: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    about = read_about(result[0])
    assert (about.benchmark_version, about.rates) == (BENCHMARK_VERSION, load_rates())
    assert about == made.about(rates=load_rates().model_dump())


def test_a_text_of_a_frame_means_nothing_in_the_report(result: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    folder, _ = result
    page, report = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page
    assert '| &lt;script&gt;alert("1")&lt;/script&gt; \\| `x` # so |' in report
    assert page.count("data:image/png;base64,") == 5
    assert report.count("](plots/") == 5


def test_a_plot_of_an_earlier_report_does_not_stay(tmp_path: Path) -> None:
    stale = tmp_path / "plots" / "recovery.png"
    stale.parent.mkdir()
    stale.write_bytes(b"old")
    write(made.frames(arms=("layered",), rounds=1), made.about(), tmp_path)
    assert not stale.exists()
    assert "The plot “One killed item in each arm”: its data is not there." in (tmp_path / "report.md").read_text()


def test_nothing_is_written_where_the_description_lacks_something(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="seed"):
        write(made.frames(arms=("layered",), rounds=1), {"profile": "full"}, tmp_path / "result")
    assert not (tmp_path / "result").exists()


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _with(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without("about.json"), "is no result of this benchmark"),
        (_with("about.json", "{}"), "cannot be read as a result's"),
        (_with("about.json", "{"), "cannot be read as a result's"),
        (_without("steps.csv"), "it has no steps.csv"),
        (_with("steps.csv", "arm,plan\nlayered,none\n"), "has not the columns of this version"),
        (_with("steps.csv", ""), "cannot be read as a frame"),
        (_with("user_code.csv", "arm,lines\nlayered,many\n"), "cannot be read as a frame"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    about = made.about()
    (tmp_path / "about.json").write_text(about.model_dump_json())
    for name, content in made.frames(arms=("layered",), rounds=1)._asdict().items():
        content.to_csv(tmp_path / f"{name}.csv", index=False)
    read_about(tmp_path)
    read_frames(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        _both(tmp_path)


def _both(folder: Path) -> None:
    read_about(folder)
    read_frames(folder)


def test_two_results_are_compared_without_what_draws() -> None:
    said = "import sys, benchmarks.reporting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], cwd=PROJECT, check=False).returncode == 0


def test_an_empty_frame_keeps_its_columns(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text(json.dumps(made.about().model_dump(mode="json")))
    for name, content in made.frames(arms=("layered",), rounds=1)._asdict().items():
        content.to_csv(tmp_path / f"{name}.csv", index=False)
    frame(COLUMNS["left_out"], []).to_csv(tmp_path / "left_out.csv", index=False)
    assert list(read_frames(tmp_path)["left_out"].columns) == list(COLUMNS["left_out"])
    assert isinstance(read_about(tmp_path), About)
