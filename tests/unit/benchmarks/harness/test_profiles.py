"""What a profile is made of, and the parts of it that some arms are given."""

from __future__ import annotations

import pytest

from benchmarks.arms import ARMS
from benchmarks.harness.profiles import PROFILES, Profile, Spec, with_workloads
from triptych.errors import ConfigurationError

TWO = Profile(
    ("a", "b"),
    rounds=3,
    specs=(Spec("retail", "none", 1), Spec("coding", "kills", 1)),
    fewer={"b": frozenset({("coding", "kills")})},
)


def test_an_arm_may_be_given_a_part_and_its_trials_keep_their_numbers() -> None:
    assert TWO.specs_of("a") == [(0, TWO.specs[0]), (1, TWO.specs[1])]
    assert TWO.specs_of("b") == [(1, TWO.specs[1])]
    assert TWO.planned() == {"a": 6, "b": 3}


def test_of_some_workloads_alone() -> None:
    assert with_workloads(TWO, ["retail"]).planned() == {"a": 3}
    with pytest.raises(ConfigurationError, match="of retail the profile has nothing for b"):
        with_workloads(TWO._replace(arms=("b",)), ["retail"])
    with pytest.raises(ConfigurationError, match="no workload chess: choose from retail, coding"):
        with_workloads(TWO, ["chess"])


def test_the_full_one_has_every_arm_and_parts_that_exist() -> None:
    full = PROFILES["full"]
    assert set(full.arms) == set(ARMS)
    for arm, parts in full.fewer.items():
        assert parts <= {(spec.workload, spec.plan) for spec in full.specs}
        assert 0 < len(full.specs_of(arm)) < len(full.specs)
    assert len(full.specs_of("layered")) == len(full.specs)
