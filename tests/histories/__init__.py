"""Runs as released versions recorded them: what comes later must still read them."""
