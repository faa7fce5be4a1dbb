"""All of it together."""

from __future__ import annotations

from benchmarks.scoring import score
from benchmarks.scoring.frames import COLUMNS, Frames
from benchmarks.scoring.scored import Scored
from tests.unit.benchmarks.scoring.building import LOOK, RATES, item, only, right_course, trial

ONE = item(LOOK)


def test_it_has_all_frames_and_the_measures() -> None:
    assert Scored._fields == (*Frames._fields, "measures")
    scored = score([trial((ONE, right_course(ONE)), arm="while_loop")], rates=RATES)
    for name, of in scored._asdict().items():
        assert list(of.columns) == list(COLUMNS[name]), name
    assert only(scored.measures, measure="user_code_lines")["value"] > 10
    # 30 GiB-seconds at a cent and one invocation at half a dollar.
    assert only(scored.measures, measure="cost_compute_per_10k_runs", plan="none")["value"] == 8000


def test_the_shipped_rates_are_its_rates_unless_told_otherwise() -> None:
    scored = score([trial((ONE, right_course(ONE)), arm="while_loop")])
    cost = only(scored.measures, measure="cost_compute_per_10k_runs", plan="none")["value"]
    assert 5.0 < cost < 5.01
    assert score([], seed=1).measures.empty
