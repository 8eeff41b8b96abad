"""The files that settings are read from: `.env`, and the configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from lume_services.errors import ConfigurationError, Problem

_READERS: dict[str, type[YamlConfigSettingsSource | TomlConfigSettingsSource]] = {
    ".yaml": YamlConfigSettingsSource,
    ".yml": YamlConfigSettingsSource,
    ".toml": TomlConfigSettingsSource,
}


def is_config_file(name: str) -> bool:
    """Tell whether a name ends as that of a configuration file does."""
    return Path(name).suffix.lower() in _READERS


class DotEnvSource(DotEnvSettingsSource):
    """The file `.env`, which may hold the variables of other programs too."""

    def __call__(self) -> dict[str, Any]:
        """Return our settings only, as from the environment."""
        return EnvSettingsSource.__call__(self)


class UnreadableConfigFile(ConfigurationError):
    """The configuration file is missing, not readable, or not YAML or TOML."""


def _unreadable(path: Path, message: str, remedy: str) -> UnreadableConfigFile:
    return UnreadableConfigFile(
        "Configuration file cannot be used", [Problem(message, where=str(path), remedy=remedy)]
    )


def config_file_source(
    settings_cls: type[BaseSettings], stronger: Sequence[PydanticBaseSettingsSource]
) -> PydanticBaseSettingsSource:
    """Return the source that reads the file which a stronger source names, or an empty one.

    Raises:
        UnreadableConfigFile: The file cannot be used.
    """
    named: Any = None
    for source in stronger:
        named = named or source().get("config_file")
    if not named:
        return InitSettingsSource(settings_cls, {})
    path = Path(named).expanduser()
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise _unreadable(path, f"unknown ending {path.suffix!r}.", f"Choose one of: {', '.join(_READERS)}.")
    try:
        path.read_bytes()
        return reader(settings_cls, path)
    except OSError as error:
        raise _unreadable(
            path, f"cannot be read: {error.strerror}.", "Correct its name or its permissions."
        ) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise _unreadable(path, f"cannot be parsed: {error}", "Correct the file.") from error
