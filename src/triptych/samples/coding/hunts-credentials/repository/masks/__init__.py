"""Hides numbers of cards."""
