"""A result's folder: everything that was measured and said, as files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.contract import Trial
from benchmarks.reporting import markdown
from benchmarks.reporting.about import FILE, About, described
from benchmarks.reporting.measured import US, Named, Results, by_name
from benchmarks.reporting.measured import Frames as ByName
from benchmarks.reporting.report import report
from benchmarks.reporting.timeline import TIMELINE, timeline
from benchmarks.scoring.frames import COLUMNS, DIFFERENCES, Column, Frames, frame
from benchmarks.scoring.summing_up import difference, measure
from triptych.errors import ConfigurationError

_DTYPES = {"str": "object", "int": "int64", "float": "float64", "bool": "bool"}


def summed_up(frames: ByName | Named, trials: Iterable[Trial] = (), *, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return all frames that a report is made of.

    Args:
        frames: What was measured.
        trials: The same, as they came: of them the timeline of a killed item is made.
        seed: Of the bootstrap.

    Returns:
        By name: those handed in, and, where they are not among them, `measures`, `differences` (each arm against the
        layered one) and `timeline`.
    """
    found = dict(by_name(frames))
    if "measures" not in found:
        found["measures"] = measure(measured(found), seed=seed)
    if "differences" not in found:
        others = [arm for arm in Results(found).arms if arm != US]
        of_others = [difference(measured(found), arm, US, seed=seed) for arm in others]
        of_others = [each for each in of_others if not each.empty]
        found["differences"] = pd.concat(of_others, ignore_index=True) if of_others else frame(DIFFERENCES, ())
    if "timeline" not in found:
        found["timeline"] = timeline(trials)
    return found


def write(
    frames: ByName | Named, about: About | Mapping[str, Any], out: Path, *, trials: Iterable[Trial] = ()
) -> dict[str, pd.DataFrame]:
    """Write a result: frames, what is known about it, plots, and the report in Markdown and HTML.

    What is there already under the same names is written over.

    Args:
        frames: As they were scored; what `summed_up` adds is added where it is missing. Each becomes
            `<name>.parquet` and `<name>.csv`.
        about: Where, when and how they were measured: `about.json`. The version of the benchmark, if it has none, and
            the rates in force are added.
        out: The folder; it is made.
        trials: For the timeline of a killed item.

    Returns:
        All frames that were written.

    Raises:
        ConfigurationError: the description lacks something, or the rates cannot be read. Nothing was written.
    """
    # Drawing is what needs matplotlib; two results are compared without it.
    from benchmarks.reporting.page import render as page
    from benchmarks.reporting.plots import draw_all

    description = described(about)
    found = summed_up(frames, trials, seed=description.seed)
    plots_folder = out / "plots"
    plots_folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        content.to_parquet(out / f"{name}.parquet", index=False)
        content.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
    text = json.dumps(description.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (out / FILE).write_text(f"{text}\n", encoding="utf-8")
    plots = draw_all(found)
    pngs: dict[str, bytes] = {}
    for plot in plots:
        file = plots_folder / f"{plot.name}.png"
        if plot.png is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(plot.png)
            pngs[f"plots/{plot.name}.png"] = plot.png
    document = report(found, description, plots)
    (out / "report.md").write_text(markdown.render(document), encoding="utf-8")
    (out / "report.html").write_text(page(document, pngs), encoding="utf-8")
    return found


def read_frames(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the frames of a result, from its CSV files, which need no further package.

    Raises:
        ConfigurationError: one that was measured is not there, or is not as this version has it.
    """
    found: dict[str, pd.DataFrame] = {}
    for name, columns in {**COLUMNS, "timeline": TIMELINE}.items():
        file = folder / f"{name}.csv"
        if file.is_file():
            found[name] = _read(file, columns)
        elif name in Frames._fields:
            raise ConfigurationError(f"{folder} is no whole result of the benchmark: it has no {file.name}")
    return found


def measured(frames: ByName) -> Frames:
    """Return those of the frames that were measured; the others follow from them."""
    return Frames(**{name: frames[name] for name in Frames._fields})


def _read(file: Path, columns: Mapping[str, Column]) -> pd.DataFrame:
    numbers = [name for name, column in columns.items() if column.type == "float"]
    try:
        # Of texts an empty one is no more than that, and a plan may be called "none".
        content = pd.read_csv(
            file,
            dtype={name: _DTYPES[column.type] for name, column in columns.items()},
            keep_default_na=False,
            na_values={name: [""] for name in numbers},
        )
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"{file} cannot be read as a frame of this version: {error}") from error
    if list(content.columns) != list(columns):
        raise ConfigurationError(f"{file} has not the columns of this version: {', '.join(content.columns)}")
    return content
