"""Results stores by a name that a user types: for commands that work on another store than the configured."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from lume_services.config.problems import problems_of
from lume_services.config.settings import RESULTS_DB_SECTIONS, LUMEServicesSettings
from lume_services.config.sources import config_file_source, is_config_file
from lume_services.errors import ConfigurationError, Problem

SUMMARY = "The results store cannot be used"


class _Alone(LUMEServicesSettings):
    """The settings of a mapping alone: neither the environment nor a file adds to them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_store(name: str, *, where: str) -> LUMEServicesSettings:
    """Return the settings with the results store that a name means.

    Args:
        name: `TYPE:FOLDER`, as `file:/data/results`; or a configuration file, YAML or TOML, which is read
            without the environment, so that two stores do not mix.
        where: The option that has the name, for errors.

    Raises:
        ConfigurationError: It means no store; all problems at once.
    """
    if is_config_file(name):
        named = InitSettingsSource(LUMEServicesSettings, {"config_file": name})
        values: dict[str, Any] = config_file_source(LUMEServicesSettings, (named,))()
    else:
        values = {"results_db": _folder_section(name, where)}
    try:
        return _Alone(**values)
    except ValidationError as error:
        raise ConfigurationError(SUMMARY, problems_of(error, {f"{where} {name}": values})) from None


def _folder_section(name: str, where: str) -> dict[str, str]:
    kinds = [kind for kind, section in RESULTS_DB_SECTIONS.items() if "path" in section.model_fields]
    kind, _, folder = name.partition(":")
    if kind not in kinds or not folder:
        remedy = (
            f"Write {' or '.join(f'{kind}:FOLDER' for kind in kinds)}, "
            "or the name of a configuration file, as store.yaml."
        )
        raise ConfigurationError(SUMMARY, [Problem(f"{name!r} is no results store.", where, remedy)])
    return {"type": kind, "path": folder}
