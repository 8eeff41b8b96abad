"""A plan, and a run of it, as text and as pictures."""
