"""The short forms."""

from __future__ import annotations

from benchmarks.figures import ARCHITECTURES, with_architectures
from benchmarks.reporting import readme_head, readme_rows, summary_markdown, summed_up
from benchmarks.reporting.published import FIRST_TOKEN
from tests.unit.benchmarks.reporting import made

MEASURES = [
    made.measure("layered", FIRST_TOKEN.key, 1800, 1700, 1900),
    made.measure("monolith", FIRST_TOKEN.key, 200, 190, 210),
]
DIFFERENCES = [made.difference("monolith", "layered", FIRST_TOKEN.key, -1600, -1700, -1500, "better")]


def test_the_table_and_a_line_on_how_it_came_about() -> None:
    said = summary_markdown(made.summed(MEASURES, DIFFERENCES), made.about())
    assert said.startswith("| approach | source | first token, p50 (ms) |")
    assert "| `monolith` | measured here | 200 (190 to 210) |" in said
    assert "Profile full, 5 rounds, seed 7, on Some CPU 3 GHz. " in said
    assert "Figures in which another arm beats `layered` beyond the noise: 1." in said


def test_it_takes_a_description_as_it_stands_in_the_file() -> None:
    measures = {"measures": made.summed(MEASURES)["measures"]}
    said = summary_markdown(measures, made.about().model_dump(mode="json"))
    assert "seed 7" in said
    # Without differences nothing is known of who beats whom.
    assert "beats" not in said


def test_without_the_layered_arm_nobody_beats_it() -> None:
    others = made.summed([each for each in MEASURES if each["arm"] != "layered"])
    assert "beats" not in summary_markdown(others, made.about())


def test_it_says_what_is_in_no_figure() -> None:
    of = {**made.summed(MEASURES), "left_out": made.frames(rounds=3).left_out}
    assert "plan did not strike: trials, 1 of `while_loop`." in summary_markdown(of, made.about())
    assert "In no figure" not in summary_markdown(made.summed(MEASURES), made.about())


def test_the_readme_has_the_same_rows() -> None:
    of = made.summed(MEASURES, DIFFERENCES)
    assert summary_markdown(of, made.about()).startswith(readme_head() + readme_rows(of))
    assert readme_rows(of).count("\n") == 6


def test_the_readme_is_given_them_between_its_marker_and_the_next_paragraph() -> None:
    of = summed_up(made.by_name(made.frames(rounds=2)))
    before = f"Before.\n\n<!-- figures: {ARCHITECTURES} -->\n| an old | table |\n\nAfter.\n"
    with_it = with_architectures(before, of)
    assert with_it == before.replace("| an old | table |\n", readme_head() + readme_rows(of))
    assert with_architectures(with_it, of) == with_it
