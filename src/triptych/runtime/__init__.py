"""Layer 2: Prefect flows around the loop: durability, checkpoints, recovery, reporting."""
