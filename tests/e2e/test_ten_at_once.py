"""Ten runs wait at once without a process, and all of them end once they are answered: by the benchmark itself."""

from __future__ import annotations

import pytest

from tests.e2e.stack import Home


@pytest.mark.timeout(900)
def test_ten_wait_and_all_complete(home: Home) -> None:
    # It ends only when every run is Completed; what it measures is no test's business.
    result = home.json("bench", "--suite", "approvals")
    assert result["processes_while_suspended"] == 0
    assert [(row["wait"], row["answered"], row["runs"]) for row in result["rows"]] == [
        ("suspended", "alone", 3),
        ("suspended", "together", 7),
        ("held", "together", 4),
    ]
