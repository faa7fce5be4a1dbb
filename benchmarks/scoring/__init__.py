"""From trials to tidy frames, and from frames to measures with their intervals.

Pure but for what it reads: `rates.toml`, and the arms' source files, whose lines it counts.
"""

from benchmarks.scoring.scored import Scored, score

__all__ = ["BENCHMARK_VERSION", "Scored", "score"]

BENCHMARK_VERSION = 1
"""Two results of different versions are not to be compared; `benchmarks/README.md` says which change raises it."""
