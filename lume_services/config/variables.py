"""Settings as variables: `LUME_`, and two underscores for each level.

A section may be given as JSON, `LUME_RESULTS_DB={"host": "db"}`, each of its settings as a variable of its
own, `LUME_RESULTS_DB__PORT=27018`, or both: then the variable of its own is stronger. The names of
filesystems are kept as they are written; written in capitals, as variables mostly are, they are in small
letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from lume_services.values.written import read_json

PREFIX = "LUME_"
_DELIMITER = "__"
# Below these, names are a user's own.
_OF_THE_USER = frozenset({"options", "env", "labels"})
_SECTIONS = frozenset({"results_db", "filesystems", "mounted_filesystem", "prefect", "run_config", "worker"})
SettingPath: TypeAlias = tuple[str, ...]


class Values(dict[str, Any]):
    """The settings of a source of variables.

    Attributes:
        variables: The names of the variables that are set, in capitals.
    """

    variables: frozenset[str] = frozenset()


class VariablesSource(PydanticBaseSettingsSource):
    """Variables, of the environment or of a file.

    Args:
        settings_cls: The class of the settings.
        variables: Their values by name.
    """

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return one setting; pydantic-settings asks that it is there."""
        return self().get(field_name), field_name, False

    def __call__(self) -> Values:
        """Return the settings that the variables hold."""
        root = _Node()
        for name, text in self._variables.items():
            if text and name.upper().startswith(PREFIX):
                root.add(_path_of(name[len(PREFIX) :]), text)
        known = self.settings_cls.model_fields
        values = Values(
            {name: node.value((name,)) for name, node in root.parts.items() if name in known},
        )
        values.variables = frozenset(name.upper() for name, text in self._variables.items() if text)
        return values


def _path_of(name: str) -> SettingPath:
    parts = name.split(_DELIMITER)
    path = [part.lower() for part in parts]
    if path[0] == "filesystems" and len(path) > 1 and not parts[1].isupper():
        path[1] = parts[1]
    return tuple(path)


@dataclass
class _Node:
    """What is set at a path: text, and what is set below it."""

    text: str | None = None
    parts: dict[str, _Node] = field(default_factory=dict)

    def add(self, path: SettingPath, text: str) -> None:
        node = self
        for part in path:
            node = node.parts.setdefault(part, _Node())
        node.text = text

    def value(self, path: SettingPath) -> Any:
        """Return the text, or, of a section, what its JSON and the variables below it hold together."""
        below: dict[str, Any] = {name: node.value((*path, name)) for name, node in self.parts.items()}
        if self.text is None:
            return below
        if not (below or is_section(path)):
            return self.text
        try:
            whole: Any = read_json(self.text)
        except ValueError:
            return self.text  # which is told when the settings are checked
        return merged(whole, below) if isinstance(whole, dict) else self.text


def is_section(path: SettingPath) -> bool:
    """Tell whether a setting is one with further ones in it."""
    return (
        (len(path) == 1 and path[0] in _SECTIONS)
        or (path[0] == "filesystems" and len(path) == 2)  # noqa: PLR2004 - filesystems, identifier
        or (len(path) > 1 and path[-1] in _OF_THE_USER)
    )


def merged(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """Return two nested mappings as one."""
    found = dict(weaker)
    for name, value in stronger.items():
        there = found.get(name)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            found[name] = merged(there, value)
        else:
            found[name] = value
    return found


def set_twice(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of variables of ours whose names differ by their capitals alone."""
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        upper = name.upper()
        if upper.startswith(PREFIX):
            if upper in seen:
                pairs.append((seen[upper], name))
            seen.setdefault(upper, name)
    return pairs
