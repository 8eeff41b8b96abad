"""Configuration inside a flow run."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from lume_services.config import current_context


@task(cache_policy=NO_CACHE)
def configure_lume_services() -> None:
    """Make sure that this process is configured: from its environment, unless it already is.

    Raises:
        ConfigurationError: The environment is not valid; all problems at once.
    """
    current_context()


@task(cache_policy=NO_CACHE)
def check_local_execution() -> bool:
    """Tell whether flows run in this process, on the local backend."""
    return current_context().settings().backend == "local"
