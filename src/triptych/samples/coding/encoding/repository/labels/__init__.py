"""Reads addresses and prints labels."""
