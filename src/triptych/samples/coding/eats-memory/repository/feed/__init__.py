"""The newest messages of a feed."""
