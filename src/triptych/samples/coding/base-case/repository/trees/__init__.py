"""Sizes of nested folders."""
