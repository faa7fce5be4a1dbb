"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from tests.unit.advice.results import result
from triptych.advice.telling import plain, told


def test_a_figure_is_told_with_its_unit() -> None:
    by_name = {(each.measure, each.arm): told(each) for each in result().figures}
    assert by_name["state_persistence_rate", "layered"] == "99.8% (99.0 to 100.0)"
    assert by_name["deployment_overhead", "layered"] == "never (2 to never)"


@pytest.mark.parametrize(("value", "said"), [(0.5612, "0.561"), (0.0, "0"), (999.4, "999"), (12345.6, "12,346")])
def test_a_number_has_no_exponent(value: float, said: str) -> None:
    assert plain(value) == said
