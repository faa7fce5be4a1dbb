"""Which panels a workload needs: loop, runtime, sandbox, or one plain model call. Knows neither Prefect nor files."""

from triptych.advice.advising import Advice, advise
from triptych.advice.measures import Figure, Measures, parse_measures
from triptych.advice.workload import Contradiction, Workload, contradictions

__all__ = [
    "Advice",
    "Contradiction",
    "Figure",
    "Measures",
    "Workload",
    "advise",
    "contradictions",
    "parse_measures",
]
