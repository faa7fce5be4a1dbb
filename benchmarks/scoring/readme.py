"""Put the tables that the code has into the README: `python -m benchmarks.scoring.readme`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.scoring import given, measures
from benchmarks.scoring.frames import tables

README = Path(__file__).parents[1] / "README.md"
_TABLES = {"given": given.table, "measures": measures.table, "frames": tables}


def with_tables(readme: str) -> str:
    """Return the README with what stands between its marks as the code has it.

    Raises:
        ValueError: a mark is not there.
    """
    for name, table in _TABLES.items():
        begin, end = f"<!-- {name}: made by benchmarks/scoring/readme.py -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = readme.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"the README has no place for the table of {name}")
        readme = f"{before}{begin}\n{table()}\n{end}{after}"
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
