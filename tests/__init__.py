"""Triptych's tests: `unit` mirrors the package, the other folders are named by what they show."""
