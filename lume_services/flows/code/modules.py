"""Where modules are, and who made them: the user, an installed distribution, or Python."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path

LIBRARY = re.compile(r"lume_services(\.(?!examples\b)|$)")
"""Matches the modules of this package, but for its examples, which are like a user's."""

# They run the code of a step, and compute nothing in it: what they in turn require does not count.
_ENGINES = ("prefect", "lume-services")
_FIELD = re.compile(r"^(Name|Version|Requires-Dist): *(.+)$", flags=re.MULTILINE)
_END_OF_NAME = re.compile(r"[^\w.-]")
_PYTHON = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Module:
    """Where a module is.

    Attributes:
        name: Its name.
        file: Its file; None for a package without one, and for what is built into Python.
        folders: Where its submodules are looked for; empty for a module that is no package.
        built_in: Whether it is a part of the interpreter.
    """

    name: str
    file: str | None = None
    folders: tuple[str, ...] = ()
    built_in: bool = False

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.folders else self.name.rpartition(".")[0]


def find_module(name: str) -> Module | None:
    """Find a module, loaded or not, without loading anything; None if there is none of the name."""
    spec = _spec_of(name)
    if spec is None:
        loaded = sys.modules.get(name)
        return Module(name, getattr(loaded, "__file__", None)) if loaded is not None else None
    folders = tuple(spec.submodule_search_locations or ())
    if spec.origin in ("built-in", "frozen"):
        return Module(name, folders=folders, built_in=True)
    return Module(name, spec.origin if spec.has_location else None, folders)


def imported_as(name: str) -> str:
    """Return the name of a module where others import it; here, that of the program is `__main__`."""
    if name != "__main__":
        return name
    program = sys.modules[name]
    return program.__spec__.name if program.__spec__ else Path(program.__file__ or "").stem


def modules_in(package: Module) -> Iterator[str]:
    """Yield the names of all modules in a package, also in packages within."""
    for folder in map(Path, package.folders):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            names = parts[:-1] if parts[-1] == "__init__" else parts
            if names and all(map(str.isidentifier, names)):
                yield ".".join((package.name, *names))


def versions_of(module: Module) -> dict[str, str] | None:
    """Return the version of the distribution that a module is of, with those of what it requires.

    Returns:
        Versions by name; empty for Python's own modules; None for a module that the user has made: one of no
        distribution, or of one that was installed from a folder, whose version does not follow its code.
    """
    place = module.file or next(iter(module.folders), "")
    if module.built_in or (place.startswith(_PYTHON) and not any(name in place for name in _INSTALLED)):
        return {}
    if not place:
        return None
    top = module.name.partition(".")[0]
    shared = module.file is None  # a package that several distributions have a part of
    return _versions(top, str(_root_of(module.name, place)), shared=shared)


def _root_of(name: str, place: str) -> Path:
    """Return the folder that a module is found in by its whole name."""
    path = Path(place)
    above = name.count(".") + (path.stem == "__init__")
    return path.parents[min(above, len(path.parents) - 1)]


@cache
def _versions(top: str, root: str, *, shared: bool) -> dict[str, str] | None:
    candidates = chain(() if shared else distributions(name=top, path=[root]), distributions(path=[root]))
    holders = (one for one in candidates if _holds(one, top, root))
    versions: dict[str, str] = {}
    for found in holders if shared else islice(holders, 1):
        if _is_of_folder(found):
            return None
        _collect(found, root, versions)
    return versions or None


def _collect(distribution: Distribution, root: str, versions: dict[str, str]) -> None:
    """Add the version of a distribution, and of those that it requires and that are there."""
    text = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").partition("\n\n")[
        0
    ]
    fields = _FIELD.findall(text)
    name = next((value for key, value in fields if key == "Name"), "")
    if name in versions:
        return
    version = next((value for key, value in fields if key == "Version"), "")
    versions[name] = " ".join((version, *_source_of(distribution)))
    for key, value in fields if name.lower() not in _ENGINES else ():
        if key == "Requires-Dist" and "extra ==" not in value:
            required = _END_OF_NAME.split(value, maxsplit=1)[0]
            for one in distributions(name=required, path=[root]):
                _collect(one, root, versions)
                break


def _holds(distribution: Distribution, top: str, root: str) -> bool:
    """Return whether a module was installed with a distribution."""
    record = distribution.read_text("RECORD") or distribution.read_text("installed-files.txt")
    if record is None:  # as Debian packages Python's; beside sources, it may be out of date
        names = (distribution.read_text("top_level.txt") or "").split()
        return Path(root).name in _INSTALLED and top in names
    return any(f"\n{top}{end}" in f"\n{record}" for end in "/.")


def _is_of_folder(distribution: Distribution) -> bool:
    """Return whether a distribution was made from a folder of the user's; conda says so of all of its own."""
    conda = (distribution.read_text("INSTALLER") or "").strip() == "conda"
    return "dir_info" in _direct_url(distribution) and not conda


def _source_of(distribution: Distribution) -> Iterator[str]:
    """Yield what tells a build from others of the same version, where one was installed by its address."""
    direct = _direct_url(distribution)
    if "vcs_info" in direct:
        yield str(direct["vcs_info"].get("commit_id", ""))
    elif "archive_info" in direct:
        yield str(direct["archive_info"].get("hash", ""))


def _direct_url(distribution: Distribution) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(distribution.read_text("direct_url.json") or "{}")
    return found


def _spec_of(name: str) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    if loaded is not None and isinstance(getattr(loaded, "__spec__", None), ModuleSpec):
        return loaded.__spec__
    if loaded is not None:
        return None
    try:
        parent, _, _ = name.rpartition(".")
        if not parent:
            return find_spec(name)
        above = _spec_of(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        return PathFinder.find_spec(name, above.submodule_search_locations)
    except (ImportError, ValueError, AttributeError):
        return None
