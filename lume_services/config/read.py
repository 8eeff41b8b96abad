"""Read the settings from all their sources, and tell where each one came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from lume_services.config.problems import problems_of, problems_of_names
from lume_services.config.settings import LUMEServicesSettings
from lume_services.config.sources import (
    UnreadableConfigFile,
    config_file_source,
    dotenv_source,
    dotenv_variables,
    environment_source,
)
from lume_services.errors import ConfigurationError, Problem
from lume_services.values.written import out_of_bounds

SUMMARY = "LUME-services is not configured"


def read_sources(arguments: Mapping[str, Any] | None = None) -> dict[str, Mapping[str, Any]]:
    """Return what each source of settings holds, strongest first.

    Raises:
        UnreadableConfigFile: The configuration file cannot be used.
    """
    named = {
        "argument": InitSettingsSource(LUMEServicesSettings, dict(arguments or {})),
        "environment": environment_source(LUMEServicesSettings),
        ".env": dotenv_source(LUMEServicesSettings),
    }
    found: dict[str, Mapping[str, Any]] = {name: source() for name, source in named.items()}
    path = next((values["config_file"] for values in found.values() if values.get("config_file")), None)
    if path:
        found[str(path)] = config_file_source(LUMEServicesSettings, tuple(named.values()))()
    return found


class _WithoutFiles(LUMEServicesSettings):
    """The settings without any file: for what else is wrong where one cannot be read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, environment_source(settings_cls))


def read_settings(arguments: Mapping[str, Any] | None = None) -> LUMEServicesSettings:
    """Read the settings from arguments, environment, `.env` and configuration file.

    Raises:
        ConfigurationError: With all problems at once, each with its place and its remedy.
    """
    if why := out_of_bounds(dict(arguments or {})):
        raise ConfigurationError(SUMMARY, [Problem(f"{why}.", "argument")])
    odd = [key for key in arguments or {} if not isinstance(key, str)]
    if odd:
        raise ConfigurationError(
            SUMMARY, [Problem(f"the name {key!r} is not text.", "argument") for key in odd]
        )
    problems = problems_of_names(os.environ)
    source: type[LUMEServicesSettings] = LUMEServicesSettings
    sources: Mapping[str, Mapping[str, Any]] = {}
    try:
        problems += problems_of_names(dotenv_variables())
        sources = read_sources(arguments)
    except UnreadableConfigFile as error:
        problems += error.problems
        source = _WithoutFiles
    try:
        settings = source(**dict(arguments or {}))
    except ValidationError as error:
        problems += problems_of(error, sources)
    if problems:
        raise ConfigurationError(SUMMARY, problems)
    return settings
