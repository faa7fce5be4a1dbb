"""Tickets and records of our own making, in the format of the public tau-bench retail data; the demo's workload."""

from pathlib import Path

SAMPLES = Path(__file__).parent
"""The folder of users.json, orders.json, products.json and tickets.jsonl."""
TICKETS = SAMPLES / "tickets.jsonl"
