"""The backend with a server that a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lume_services.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from lume_services.services.scheduling.backends.server import ServerBackend


def server_backend(kind: str | None, pool: str | None) -> ServerBackend:
    """Return a backend by its type and work pool; what is left out is as configured.

    Raises:
        ConfigurationError: There is none of that type, or it has no server.
    """
    from lume_services.config import build_context, current_context
    from lume_services.services.scheduling.backends.server import ServerBackend

    settings = current_context().settings()
    name = kind or settings.backend
    prefect = settings.prefect.model_copy(update={"work_pool": pool}) if pool else settings.prefect
    context = build_context(settings.model_copy(update={"backend": name, "prefect": prefect}))
    backend = context.scheduling_backend()
    if isinstance(backend, ServerBackend):
        return backend
    problem = Problem(
        f"the backend {name!r} runs flows by itself; it has no workers.",
        where="--type",
        remedy="Give --type process, docker or kubernetes, or set LUME_BACKEND.",
    )
    raise ConfigurationError("no worker can be had", [problem])
