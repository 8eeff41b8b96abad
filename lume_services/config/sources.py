"""The files that settings are read from: `.env`, and the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from lume_services.config.variables import VariablesSource
from lume_services.errors import ConfigurationError, Problem, UnreadableFileError
from lume_services.values.regular import expanded, read_text
from lume_services.values.written import read_written

_ENDINGS = (".yaml", ".yml", ".toml")
_DOTENV = ".env"


def is_config_file(name: str) -> bool:
    """Tell whether a name ends as that of a configuration file does."""
    return Path(name).suffix.lower() in _ENDINGS


class UnreadableConfigFile(ConfigurationError):
    """The configuration file, or `.env`, is missing, not readable, or not of its form."""


def environment_source(settings_cls: type[BaseSettings]) -> VariablesSource:
    """Return the variables of the environment."""
    return VariablesSource(settings_cls, os.environ)


def dotenv_source(settings_cls: type[BaseSettings], name: str | None = _DOTENV) -> VariablesSource:
    """Return the variables of the file `.env`, which may hold those of other programs too.

    Raises:
        UnreadableConfigFile: It is there and cannot be read.
    """
    return VariablesSource(settings_cls, dotenv_variables(name))


def dotenv_variables(name: str | None = _DOTENV) -> Mapping[str, str | None]:
    """Return all variables of the file `.env`; none where it is not there, or is a folder.

    Raises:
        UnreadableConfigFile: It is there and cannot be read.
    """
    if name is None or not os.path.lexists(name) or Path(name).is_dir():
        return {}
    try:
        return dotenv_values(stream=StringIO(read_text(name, what="file of variables")))
    except UnreadableFileError as error:
        raise _unreadable(name, f"cannot be read: {error.message}", error.remedy) from error


def _unreadable(path: str | Path, message: str, remedy: str | None) -> UnreadableConfigFile:
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
    return InitSettingsSource(settings_cls, _content(named) if named else {})


def _content(named: Any) -> dict[str, Any]:
    try:
        path = expanded(named)
    except ValueError as error:
        raise _unreadable(repr(named), f"{error}.", "Correct its name.") from error
    if path.suffix.lower() not in _ENDINGS:
        raise _unreadable(path, f"unknown ending {path.suffix!r}.", f"Choose one of: {', '.join(_ENDINGS)}.")
    try:
        text = read_text(path, what="configuration file")
    except UnreadableFileError as error:
        reason = error.message.removeprefix("the configuration file cannot be read: ")
        line = _line_of(error.where, path)
        message = f"cannot be read: {f'line {line}: ' if line else ''}{reason}"
        raise _unreadable(path, message, error.remedy or "Correct its name or its permissions.") from error
    try:
        written = read_written(text, str(path), what="configuration file")
    except UnreadableFileError as error:
        problems = [Problem(error.message, error.where, error.remedy or "Correct the file.")]
    else:
        problems = [problem for _, problem in written.problems]
        if not problems:
            problems = list(_problems_of_form(written.data, path))
        if not problems:
            return dict(written.data or {})
    told = [_at_its_line(problem, path) for problem in problems]
    raise UnreadableConfigFile("Configuration file cannot be used", told)


def _at_its_line(problem: Problem, path: Path) -> Problem:
    line = _line_of(problem.where, path)
    at = f"line {line}: " if line else ""
    return Problem(f"cannot be parsed: {at}{problem.message}", where=str(path), remedy=problem.remedy)


def _line_of(where: str | None, path: Path) -> str:
    return (where or "").removeprefix(str(path)).removeprefix(":")


def _problems_of_form(data: Any, path: Path) -> list[Problem]:
    if data is not None and not isinstance(data, dict):
        return [Problem("it must be a map of settings.", str(path), "Write it as lines of `key: value`.")]
    odd = [key for key in data or {} if not isinstance(key, str)]
    return [Problem(f"the name {key!r} is not text.", str(path), "Write it in quotes.") for key in odd]
