"""The environment that gives another process the settings of this one, wherever they were read from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from lume_services.config.problems import Path, variable
from lume_services.config.settings import LUMEServicesSettings
from lume_services.config.variables import PREFIX

# A job is no worker, its other settings are the content of the file, and it knows the API by the variables
# of Prefect's worker, which lead there also from inside a container.
_NOT_FOR_JOBS = {("worker",), ("config_file",), ("prefect", "api_url"), ("prefect", "api_auth_string")}


def job_environment(settings: LUMEServicesSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the `LUME_` variables that a job needs: all that is set, secrets in clear.

    Args:
        settings: The settings of this process.
        environment: Its environment; `LUME_` variables that are no settings are taken from there.
    """
    names = set(LUMEServicesSettings.model_fields)
    of_others = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name[len(PREFIX) :].lower().partition("__")[0] not in names
    }
    return of_others | {variable(path): text for path, text in _set_ones((), settings)}


def _set_ones(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if path in _NOT_FOR_JOBS or value is None:
        return
    if isinstance(value, BaseModel):
        for name in sorted(value.model_fields_set):
            yield from _set_ones((*path, name), getattr(value, name))
    elif isinstance(value, Mapping | list):
        yield path, json.dumps(_plain(value))
    elif isinstance(value, SecretStr):
        yield path, value.get_secret_value()
    else:
        yield path, str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return value if isinstance(value, str | int | float | list | None) else str(value)
