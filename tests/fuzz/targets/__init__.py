"""The targets, one module each: its `TARGET` says what is read."""
