"""Every workload and fault plan has its line, and no other."""

from __future__ import annotations

import re

from benchmarks.fault_plans import FAULTS, HAPPENINGS
from benchmarks.harness.profiles import PROFILES
from benchmarks.scoring.given import PLANS, WORKLOADS


def test_every_fault_plan() -> None:
    assert set(PLANS) == {*FAULTS, *HAPPENINGS}


def test_every_workload() -> None:
    run = {
        spec.workload if spec.at_once is None else f"{spec.workload}-{spec.at_once}"
        for profile in PROFILES.values()
        for spec in profile.specs
    }
    stems = {name.partition("<")[0].rstrip("-") for name in WORKLOADS}
    assert stems == {re.sub(r"-\d+$", "", name) for name in run}
