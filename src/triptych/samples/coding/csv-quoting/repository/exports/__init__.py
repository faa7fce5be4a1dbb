"""Writes tables for a spreadsheet."""
