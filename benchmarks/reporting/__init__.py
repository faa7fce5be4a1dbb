"""From frames to what people read: Markdown, plots, one HTML page, and what changed between two results.

Nothing is measured here, and no verdict rests on more than the frames: `benchmarks.scoring` says what they mean.
matplotlib is imported where it draws, so that two results can be compared without it.
"""

from benchmarks.reporting.comparison import Comparison, compare
from benchmarks.reporting.folder import read_frames, summed_up, write
from benchmarks.reporting.summary import readme_head, readme_rows, summary_markdown

__all__ = [
    "Comparison",
    "compare",
    "read_frames",
    "readme_head",
    "readme_rows",
    "summary_markdown",
    "summed_up",
    "write",
]
