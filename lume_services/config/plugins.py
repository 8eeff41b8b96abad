"""Classes by name: a packaged choice, an entry point of an installed package, or `package.module:Class`.

Such names come from settings, which are as trusted as code. A name found in stored data never gets
here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from lume_services.errors import PluginError, choose_from, nearest


def plugin_names(group: str) -> list[str]:
    """Return the names that installed packages offer in an entry-point group."""
    return sorted({point.name for point in entry_points(group=group)})


def import_object(name: str, *, where: str) -> Any:
    """Import `package.module:Object`.

    Raises:
        PluginError: The name has another form, or the module or the object is not there.
    """
    module_name, colon, path = name.partition(":")
    if not (colon and all(part.isidentifier() for part in [*module_name.split("."), *path.split(".")])):
        raise PluginError(
            f"{name!r} is not of the form package.module:Class.",
            where=where,
            remedy="Write the module's import path, a colon, and the name of the class.",
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise PluginError(
            f"cannot import {module_name!r}: {error}.",
            where=where,
            remedy="Install the package that has it into this environment.",
        ) from error
    except Exception as error:
        raise PluginError(
            f"cannot import {module_name!r}: {type(error).__name__}: {error}.",
            where=where,
            remedy="Correct the module.",
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            meant = nearest(part, dir(found))
            raise PluginError(
                f"{module_name!r} has no {part!r}.",
                where=where,
                remedy=f"Did you mean {meant!r}?" if meant else "Correct the name.",
            )
        found = getattr(found, part)
    return found


def known_choice(name: str, *, group: str, packaged: Iterable[str]) -> str:
    """Return the name of a choice as it is, without importing anything.

    Raises:
        ValueError: It is neither packaged, nor an entry point, nor of the form `package.module:Class`.
    """
    if name in packaged or ":" in name or name in (offered := plugin_names(group)):
        return name
    raise ValueError(
        f"{name!r} is not known. {choose_from(name, [*packaged, *offered])} "
        "Or name a class as package.module:Class."
    )


def known_type(section: Any, *, group: str, packaged: Iterable[str]) -> Any:
    """Return a section as it is after a look at its `type`.

    Raises:
        ValueError: The type is not known; see `known_choice`.
    """
    if isinstance(section, Mapping) and isinstance(section.get("type"), str):
        known_choice(section["type"], group=group, packaged=packaged)
    return section


def load_class(name: str, *, group: str, packaged: Mapping[str, str], base: type, where: str) -> Any:
    """Return the class that a setting names.

    Args:
        name: A packaged choice, an entry point of `group`, or `package.module:Class`.
        group: Entry-point group that packages join.
        packaged: Our own choices: name to `package.module:Class`.
        base: What the class must derive from.
        where: The setting, for error messages.

    Raises:
        PluginError: Nothing of that name exists, or it is not a subclass of `base`.
    """
    if name in packaged:
        found = import_object(packaged[name], where=where)
    elif ":" in name:
        found = import_object(name, where=where)
    else:
        points = {point.name: point.value for point in entry_points(group=group)}
        if name not in points:
            raise PluginError(
                f"{name!r} is not known.",
                where=where,
                remedy=f"{choose_from(name, [*packaged, *points])} Or name a class as package.module:Class.",
            )
        found = import_object(points[name], where=f"{where} (entry point {name} of {group})")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(
            f"{name!r} is not a subclass of {base.__module__}.{base.__qualname__}.",
            where=where,
            remedy="Derive the class from it.",
        )
    return found
