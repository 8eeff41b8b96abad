"""A Kubernetes API server for the tests: what the worker of prefect-kubernetes uses, and jobs that run."""
