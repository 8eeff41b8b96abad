"""LUME-services: write an accelerator workflow once, run it anywhere, find every result again.

The public names, in reading order. They are imported on first use, so that importing the package
costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lume_services.loaded import watch

if TYPE_CHECKING:
    from lume_services.config import (
        Context,
        LUMEServicesSettings,
        configure,
        current_context,
        get_env_vars,
        use_context,
    )
    from lume_services.errors import LUMEServicesError
    from lume_services.files import File
    from lume_services.flows import FlowOfFlows
    from lume_services.results import Result
    from lume_services.values import fingerprint

__version__ = "0.1.0"

_MODULES = {
    "configure": "config",
    "current_context": "config",
    "use_context": "config",
    "get_env_vars": "config",
    "Context": "config",
    "LUMEServicesSettings": "config",
    "File": "files",
    "Result": "results",
    "FlowOfFlows": "flows",
    "fingerprint": "values",
    "LUMEServicesError": "errors",
}

__all__ = [  # noqa: RUF022
    "configure",
    "current_context",
    "use_context",
    "get_env_vars",
    "Context",
    "LUMEServicesSettings",
    "File",
    "Result",
    "FlowOfFlows",
    "fingerprint",
    "LUMEServicesError",
]

watch()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
