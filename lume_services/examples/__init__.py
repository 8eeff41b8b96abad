"""Workflows that come with the package, to run and to learn from."""
