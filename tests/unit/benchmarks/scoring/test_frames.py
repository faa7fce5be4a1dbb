"""What is documented is what is there, and the README says the same."""

from __future__ import annotations

import math

import pytest

from benchmarks.scoring import BENCHMARK_VERSION, measures
from benchmarks.scoring.frames import COLUMNS, USER_CODE, Frames, frame, tables
from benchmarks.scoring.readme import README, with_tables
from benchmarks.scoring.summing_up import difference, measure
from tests.unit.benchmarks.scoring.building import LOOK, frames_of, item, right_course, trial


def test_every_frame_has_its_columns_in_their_order() -> None:
    frames = frames_of(trial((item(LOOK), right_course(item(LOOK)))))
    made = {
        **frames._asdict(),
        "measures": measure(frames, count=10),
        "differences": difference(frames, "layered", "layered", count=10),
    }
    assert {name: list(of.columns) for name, of in made.items()} == {name: list(of) for name, of in COLUMNS.items()}
    assert list(COLUMNS)[: len(Frames._fields)] == list(Frames._fields)


def test_a_frame_without_rows_has_the_same_types() -> None:
    full, empty = frame(USER_CODE, [{"arm": "layered", "lines": 3}]), frame(USER_CODE, [])
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert full.dtypes["lines"] == "int64"
    assert len(measure(frames_of())) == 0


@pytest.mark.parametrize("row", [{"arm": "layered"}, {"arm": "layered", "lines": 3, "more": math.nan}])
def test_a_column_that_is_not_documented_is_refused(row: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(ValueError, match="columns"):
        frame(USER_CODE, [row])


def test_the_readme_has_the_tables() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run `python -m benchmarks.scoring.readme`"
    assert tables() in text
    assert measures.table() in text
    with pytest.raises(ValueError, match="given"):
        with_tables("nothing")
    assert f"This is version {BENCHMARK_VERSION}." in text
