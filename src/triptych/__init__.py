"""Triptych runs AI agents in production on Prefect: loop, runtime and sandbox, kept apart."""

__version__ = "0.1.0"
