"""Divides goods among boxes."""
