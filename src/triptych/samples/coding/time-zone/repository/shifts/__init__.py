"""How much was worked on which day."""
