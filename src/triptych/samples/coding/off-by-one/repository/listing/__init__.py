"""Shows long lists in pages."""
