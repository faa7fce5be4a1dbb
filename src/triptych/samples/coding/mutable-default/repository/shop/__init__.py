"""Baskets, and what they cost."""
