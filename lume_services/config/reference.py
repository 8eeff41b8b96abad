"""The reference of all settings, made from their models: as a table, and as commented samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lume_services.config.problems import models_in, variable
from lume_services.config.settings import LUMEServicesSettings
from lume_services.values.secret import masked


@dataclass(frozen=True)
class Setting:
    """One setting as a person sets it.

    Attributes:
        path: Where it is: ("results_db", "port").
        default: As text; empty where there is none.
        description: What it is for.
        of: The types of its section that have it, as "mongodb"; empty for all.
    """

    path: tuple[str, ...]
    default: str
    description: str
    of: tuple[str, ...]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable(self.path)

    @property
    def full_description(self) -> str:
        """The description, with the types of the section that it belongs to."""
        return f"({', '.join(self.of)}) {self.description}" if self.of else self.description


def settings_reference() -> list[Setting]:
    """Return all settings, in the order of the models."""
    found: dict[tuple[str, ...], Setting] = {}
    for setting in _all_settings():
        known = found.get(setting.path)
        if known is None:
            found[setting.path] = setting
        elif setting.of and set(setting.of) - set(known.of):
            found[setting.path] = Setting(
                setting.path, known.default, known.description, (*known.of, *setting.of)
            )
    return list(found.values())


def _all_settings() -> Iterator[Setting]:
    for name, field in LUMEServicesSettings.model_fields.items():
        sections = list(models_in(field.annotation))
        if not sections:
            yield Setting((name,), _default(name, field), field.description or "", ())
        prefix = (name, "<identifier>") if name == "filesystems" else (name,)
        kinds = [kind for section in sections if (kind := _kind(section))]
        for section in sections:
            kind = _kind(section)
            for inner, inner_field in section.model_fields.items():
                if inner == "type" and len(kinds) > 1:
                    choices = ", ".join(f"`{choice}`" for choice in kinds)
                    text = f"{choices}, an entry point, or `package.module:Class`."
                    yield Setting((*prefix, "type"), kinds[0], f"Which one: {text}", ())
                elif inner != "type":
                    of = (kind or "plug-in",) if len(sections) > 1 else ()
                    default = _default(inner, inner_field)
                    yield Setting((*prefix, inner), default, inner_field.description or "", of)


def _kind(section: type[BaseModel]) -> str:
    field = section.model_fields.get("type")
    choices = get_args(field.annotation) if field else ()
    return str(choices[0]) if choices else ""


def _default(name: str, field: FieldInfo) -> str:
    if name == "home":
        return "the platform's folder for user data"
    value = field.default
    if value is PydanticUndefined or value is None:
        return ""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def markdown_table() -> str:
    """Return the reference as a Markdown table."""
    lines = ["| Variable | Default | What it is |", "| --- | --- | --- |"]
    for setting in settings_reference():
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(f"| `{setting.variable}` | {default} | {setting.full_description} |")
    return "\n".join(lines) + "\n"


def markdown_page() -> str:
    """Return the page of the documentation that has the table."""
    return (
        "# Variables\n\n"
        "Every setting as an environment variable. In a file or a mapping, `LUME_RESULTS_DB__HOST` is "
        "`results_db: {host: …}`.\n\n" + markdown_table()
    )


def sample_env() -> str:
    """Return a commented `.env` file with every setting at its default."""
    lines = ["# LUME-services: every setting, at its default. Take the # away to set one."]
    for setting in settings_reference():
        default = "" if setting.path == ("home",) else setting.default
        lines += ["", f"# {setting.full_description}", f"# {setting.variable}={default}"]
    return "\n".join(lines) + "\n"


def sample_yaml() -> str:
    """Return a commented YAML configuration file with every setting at its default."""
    lines = [
        "# LUME-services: every setting, at its default. Take the # away to set one.",
        "# Name this file in LUME_CONFIG_FILE. Environment variables are stronger.",
    ]
    above: tuple[str, ...] = ()
    for setting in settings_reference():
        if setting.path == ("config_file",):
            continue
        parents = setting.path[:-1]
        if parents != above:
            lines.append("")
            lines += [f"# {'  ' * depth}{part}:" for depth, part in enumerate(parents)]
            above = parents
        indent = "  " * len(parents)
        default = "" if setting.path == ("home",) else setting.default
        lines += [
            f"# {indent}# {setting.full_description}",
            f"# {indent}{setting.path[-1]}: {default}".rstrip(),
        ]
    return "\n".join(lines) + "\n"


def shown_values(settings: LUMEServicesSettings) -> dict[tuple[str, ...], Any]:
    """Return every value of the settings by its path, with what may be a secret masked."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(path: tuple[str, ...], value: Any) -> None:
        if isinstance(value, BaseModel):
            for name in type(value).model_fields:
                walk((*path, name), getattr(value, name))
        elif isinstance(value, Mapping) and path == ("filesystems",):
            for name, inner in value.items():
                walk((*path, name), inner)
        else:
            found[path] = masked(path[-1], value)

    walk((), settings)
    return found
