"""`configure()` and the context that a piece of code runs in."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from dependency_injector import providers

from lume_services.config.container import Context, uses_plugin_backend, uses_plugin_results_db
from lume_services.config.problems import models_in, variable
from lume_services.config.read import read_settings
from lume_services.config.settings import LUMEServicesSettings

_lock = threading.RLock()
_configured: Context | None = None
_scoped: ContextVar[Context | None] = ContextVar("lume_services_context", default=None)


def build_context(settings: LUMEServicesSettings | Mapping[str, Any] | None = None) -> Context:
    """Return a new container; the process's own is left as it is.

    Args:
        settings: As for `configure`.

    Raises:
        ConfigurationError: The settings are not valid; all problems at once.
        PluginError: A class that the settings name cannot be had.
    """
    if not isinstance(settings, LUMEServicesSettings):
        settings = read_settings(settings)
    context = Context(settings=providers.Object(settings))
    context.check_dependencies()
    context.filesystems()
    context.serializers()
    if uses_plugin_backend(settings):
        context.scheduling_backend()
    if uses_plugin_results_db(settings):
        context.results_db()
    return context


def configure(
    settings: LUMEServicesSettings | Mapping[str, Any] | None = None,
    *,
    wire: Iterable[ModuleType | str] = (),
) -> Context:
    """Configure this process and return its container.

    The container of an earlier call is closed.

    Args:
        settings: Settings, or a mapping that is stronger than environment and files.
        wire: Modules whose functions take services by `Provide[Context.results_db_service]`.

    Raises:
        ConfigurationError: The settings are not valid; all problems at once.
        PluginError: A class that the settings name cannot be had.
    """
    global _configured
    context = build_context(settings)
    if modules := list(wire):
        context.wire(modules=modules)
    with _lock:
        previous, _configured = _configured, context
    if previous is not None:
        close_context(previous)
    return context


def unconfigure() -> None:
    """Close the container of this process and forget it."""
    global _configured
    with _lock:
        previous, _configured = _configured, None
    if previous is not None:
        close_context(previous)


def close_context(context: Context) -> None:
    """Close what the services of a container have opened; it opens again when it is used again."""
    context.shutdown_resources()
    context.reset_singletons()


def current_context() -> Context:
    """Return the container of this block, else of this process.

    A process that was not configured is configured from the environment, once.

    Raises:
        ConfigurationError: It was not, and the environment is not valid.
    """
    scoped = _scoped.get()
    if scoped is not None:
        return scoped
    with _lock:
        return _configured or configure()


@contextmanager
def use_context(context: Context) -> Iterator[Context]:
    """Use a container inside a block, in this thread or asyncio task and in Prefect's task threads."""
    token = _scoped.set(context)
    try:
        yield context
    finally:
        _scoped.reset(token)


def get_env_vars(
    settings: type[LUMEServicesSettings] | LUMEServicesSettings = LUMEServicesSettings,
) -> dict[str, list[str]]:
    """Return the environment variables of each section of the settings.

    Args:
        settings: The settings or their class.
    """
    found: dict[str, list[str]] = {}
    settings_type = settings if isinstance(settings, type) else type(settings)
    for name, field in settings_type.model_fields.items():
        sections = list(models_in(field.annotation))
        paths = [(name, *_key(name), inner) for section in sections for inner in section.model_fields]
        found[name] = list(dict.fromkeys(variable(path) for path in paths or [(name,)]))
    return found


def _key(name: str) -> tuple[str, ...]:
    return ("<identifier>",) if name == "filesystems" else ()
