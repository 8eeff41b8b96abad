"""Settings, and the container that wires the services from them."""

from lume_services.config.bootstrap import (
    build_context,
    close_context,
    configure,
    current_context,
    get_env_vars,
    unconfigure,
    use_context,
)
from lume_services.config.container import Context
from lume_services.config.settings import LUMEServicesSettings

__all__ = [
    "Context",
    "LUMEServicesSettings",
    "build_context",
    "close_context",
    "configure",
    "current_context",
    "get_env_vars",
    "unconfigure",
    "use_context",
]
