"""A server, workers and jobs that are killed at random, while callers rely on their answers."""
