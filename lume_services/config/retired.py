"""Names of the predecessor's settings: what they mean today, and which have lost their meaning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

RETIRED_SECTIONS = frozenset({"model_db", "environment"})
"""Whole sections of the predecessor that have no counterpart."""

RETIRED_PREFECT = frozenset(
    {"ui", "telemetry", "agent", "home_dir", "debug", "backend", "image", "isolated", "server"}
)
"""Fields of the predecessor's Prefect section; the host and port of `server` are still read."""


class RetiredSettingWarning(FutureWarning):
    """A setting of the predecessor has no effect any more."""


def warn_retired(names: list[str]) -> None:
    """Warn once about settings that are accepted and ignored."""
    if names:
        shown = ", ".join(f"LUME_{name.upper()}" for name in names)
        warnings.warn(
            f"{shown}: accepted for the predecessor's sake, but without effect; remove it.",
            RetiredSettingWarning,
            stacklevel=2,
        )


def translate_prefect(section: Any) -> Any:
    """Turn the predecessor's Prefect section into today's.

    `server.host` and `server.host_port` become the API's URL; everything else of Prefect 1 is
    dropped with a warning.
    """
    if not isinstance(section, Mapping):
        return section
    current = {key: value for key, value in section.items() if key not in RETIRED_PREFECT}
    server = section.get("server")
    ignored = [f"prefect__{key}" for key in section if key in RETIRED_PREFECT - {"server"}]
    if isinstance(server, Mapping):
        ignored += [f"prefect__server__{key}" for key in server if key not in {"host", "host_port"}]
        if {"host", "host_port"} & set(server) and "api_url" not in current:
            host = str(server.get("host", "http://localhost")).rstrip("/")
            host = host if "://" in host else f"http://{host}"
            current["api_url"] = f"{host}:{server.get('host_port', 4200)}/api"
    warn_retired(ignored)
    return current
