"""Coding agents in boxes: what they are asked, how they are run, and what becomes of their patches."""
