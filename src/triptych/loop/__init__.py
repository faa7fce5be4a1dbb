"""Layer 1: the agents. Plain pydantic-ai; never imports Prefect or Docker."""
