"""Runs trials: starts the world and the arms, hands items in, plays the person, and watches from outside.

It knows an arm by `arms.protocol` alone, and imports neither Prefect nor any rival.
"""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
"""The checkout."""
