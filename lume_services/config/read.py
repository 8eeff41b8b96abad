"""Read the settings from all their sources, and tell where each one came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
)

from lume_services.config.problems import misspelt_variables, problems_of
from lume_services.config.settings import LUMEServicesSettings
from lume_services.config.sources import DotEnvSource, UnreadableConfigFile, config_file_source
from lume_services.errors import ConfigurationError

SUMMARY = "LUME-services is not configured"


def read_sources(arguments: Mapping[str, Any] | None = None) -> dict[str, Mapping[str, Any]]:
    """Return what each source of settings holds, strongest first.

    Raises:
        UnreadableConfigFile: The configuration file cannot be used.
    """
    named = {
        "argument": InitSettingsSource(LUMEServicesSettings, dict(arguments or {})),
        "environment": EnvSettingsSource(LUMEServicesSettings),
        ".env": DotEnvSource(LUMEServicesSettings),
    }
    found: dict[str, Mapping[str, Any]] = {name: source() for name, source in named.items()}
    path = next((values["config_file"] for values in found.values() if values.get("config_file")), None)
    if path:
        found[str(path)] = config_file_source(LUMEServicesSettings, tuple(named.values()))()
    return found


class _WithoutFile(LUMEServicesSettings):
    """The settings without the configuration file: for what else is wrong where it cannot be read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, DotEnvSource(settings_cls), file_secret_settings)


def _variables_set() -> list[str]:
    return [*os.environ, *(name.upper() for name in DotEnvSource(LUMEServicesSettings).env_vars)]


def read_settings(arguments: Mapping[str, Any] | None = None) -> LUMEServicesSettings:
    """Read the settings from arguments, environment, `.env` and configuration file.

    Raises:
        ConfigurationError: With all problems at once, each with its place and its remedy.
    """
    problems = misspelt_variables(dict.fromkeys(_variables_set()))
    source: type[LUMEServicesSettings] = LUMEServicesSettings
    sources: Mapping[str, Mapping[str, Any]] = {}
    try:
        sources = read_sources(arguments)
    except UnreadableConfigFile as error:
        problems += error.problems
        source = _WithoutFile
    try:
        settings = source(**dict(arguments or {}))
    except ValidationError as error:
        problems += problems_of(error, sources)
    if problems:
        raise ConfigurationError(SUMMARY, problems)
    return settings
