"""What is wrong with the settings, said so that it can be mended: the place, the remedy, all at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from lume_services.config.retired import RETIRED_SECTIONS, warn_retired
from lume_services.config.sections import section_names
from lume_services.config.settings import FILESYSTEM_SECTIONS, RESULTS_DB_SECTIONS, LUMEServicesSettings
from lume_services.config.variables import PREFIX, Values, set_twice
from lume_services.errors import Problem, choose_from, nearest
from lume_services.values.secret import may_be_secret, without_credentials

_WITH_NAMES = re.compile(r"(LUME_\w+__(?:ENV|LABELS|OPTIONS))__")
_WHOLE_SECTIONS = frozenset({"dict_type", "model_type", "model_attributes_type", "list_type"})
Path = tuple[str, ...]
"""Where a setting is: ("results_db", "port")."""


def variable(path: Path) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


def path_of(location: Iterable[int | str]) -> Path:
    """Return the setting's path from a location of pydantic, without the names of union members."""
    path = [str(part) for part in location]
    member = {"results_db": 1, "filesystems": 2}.get(path[0] if path else "")
    if member is not None and len(path) > member:
        del path[member]
    return tuple(path)


def is_secret(path: Path) -> bool:
    """Tell whether the value of a setting must not be shown."""
    if any(may_be_secret(part) for part in path[1:]):
        return True
    models: list[type[BaseModel]] = [LUMEServicesSettings, *_all_sections()]
    for section in models:
        field = section.model_fields.get(path[-1]) if path else None
        if field is not None and SecretStr in (field.annotation, *get_args(field.annotation)):
            return True
    return False


def _all_sections() -> Iterator[type[BaseModel]]:
    for field in LUMEServicesSettings.model_fields.values():
        yield from models_in(field.annotation)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def valid_names(path: Path) -> list[str]:
    """Return the names that are valid below a section."""
    match path:
        case ():
            return list(LUMEServicesSettings.model_fields)
        case ("results_db",):
            return section_names(*RESULTS_DB_SECTIONS.values())
        case ("filesystems", _):
            return section_names(*FILESYSTEM_SECTIONS.values())
        case (name,) if name in LUMEServicesSettings.model_fields:
            return section_names(*models_in(LUMEServicesSettings.model_fields[name].annotation))
        case _:
            return []


def problem_of(details: ErrorDetails, sources: Mapping[str, Mapping[str, Any]]) -> Problem:
    """Translate one error of pydantic.

    Args:
        details: The error.
        sources: What each source holds, by its name, strongest first.
    """
    path = path_of(details["loc"])
    where = place_of(path, sources)
    value = details["input"]
    is_shown = isinstance(value, str | int | float | bool) and not is_secret(path)
    # What stands in the place of a whole section may be anything.
    if details["type"] in _WHOLE_SECTIONS:
        is_shown = False
    shown = without_credentials(repr(value)) if is_shown else None
    match details["type"]:
        case "missing":
            return Problem("required, but not set.", where, f"Set {variable(path)}.")
        case "extra_forbidden":
            return Problem("unknown name.", where, choose_from(path[-1], valid_names(path[:-1])))
        case "literal_error":
            expected = str(details.get("ctx", {}).get("expected", ""))
            choices = [choice.strip(" '") for choice in expected.replace(" or ", ",").split(",")]
            return Problem(f"{shown or 'this'} is not valid.", where, choose_from(value, choices))
        case "value_error":
            return Problem(without_credentials(details["msg"].removeprefix("Value error, ")), where)
        case _:
            message = details["msg"][:1].lower() + details["msg"][1:]
            return Problem(f"{shown}: {message}." if shown else f"{message}.", where)


def place_of(path: Path, sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Name the place where a setting was made: a variable, a file and its key, an argument."""
    for name, values in sources.items():
        if holds(values, path):
            if isinstance(values, Values):
                place = _variable_with(path, values.variables)
                return place if name == "environment" else f"{name}: {place}"
            return f"{name}: {'.'.join(path)}"
    return variable(path)


def _variable_with(path: Path, variables: Collection[str]) -> str:
    """Name the variable that holds a setting: its own, or one with the JSON of a section around it."""
    for length in range(len(path), 0, -1):
        name, rest = variable(path[:length]), ".".join(path[length:])
        if name in variables:
            return f"{name}: {rest}" if rest else name
    return variable(path)


def holds(values: Any, path: Path) -> bool:
    """Tell whether a nested mapping has a value at a path."""
    for part in path:
        if not (isinstance(values, Mapping) and part in values):
            return False
        values = values[part]
    return True


def problems_of_names(names_set: Iterable[str]) -> list[Problem]:
    """Find `LUME_` variables that resemble a setting and are none, and those that are set twice.

    A variable that resembles nothing belongs to another program of the LUME family and is left alone.
    """
    names_set = list(names_set)
    names = list(LUMEServicesSettings.model_fields)
    problems = [
        Problem(f"it is set as {other}, too.", one, "Capitals do not matter: set one of the two.")
        for one, other in set_twice(names_set)
    ]
    retired = []
    for variable_name in names_set:
        if not variable_name.upper().startswith(PREFIX):
            continue
        section = variable_name[len(PREFIX) :].lower().partition("__")[0]
        mapping = _WITH_NAMES.match(variable_name.upper())
        if mapping:
            problems.append(
                Problem("its name would lose its case.", variable_name, f"Give {mapping[1]} as JSON.")
            )
        if section in RETIRED_SECTIONS:
            retired.append(variable_name[len(PREFIX) :])
        elif section not in names and (meant := nearest(section, names)):
            rest = variable_name[len(PREFIX) + len(section) :]
            problems.append(
                Problem("unknown name.", variable_name, f"Did you mean {PREFIX}{meant.upper()}{rest}?")
            )
    warn_retired(retired)
    return problems


def problems_of(error: ValidationError, sources: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """Translate all errors of pydantic, in the order of the settings."""
    return [problem_of(details, sources) for details in error.errors(include_url=False)]
