"""How much is paid back."""
