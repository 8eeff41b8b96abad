"""Read the code of a flow: nothing is imported, nothing runs."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from prefect import Flow
from prefect.utilities.hashing import file_hash

from lume_services import __version__
from lume_services.flows.code.code import Code
from lume_services.flows.code.made import Making
from lume_services.flows.code.modules import (
    LIBRARY,
    Module,
    find_module,
    imported_as,
    modules_in,
    versions_of,
)
from lume_services.flows.code.source import Statement, digest_of, read_source
from lume_services.loaded import Sought, as_loaded, loaded_again, sought, state_of, watched

_SOURCE = (".py", ".pyw")
_MISSING = "not there"
_UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)
_DEFINITIONS = ("FunctionDef(", "AsyncFunctionDef(", "ClassDef(")
_HASH = re.compile("[0-9a-f]{32}")


def code_of(
    flow: Flow[..., Any],
    entrypoint: str | None = None,
    *,
    classes: Collection[str] = (),
    elsewhere: bool = False,
) -> Code:
    """Return the code of a flow. Nothing is imported, nothing runs.

    It is the source, as it was loaded, of the module of the flow and of the modules of the user that this
    imports, directly or not, without comments, docstrings and layout, and the versions of all else. A
    function that no other code names does not count.

    Args:
        flow: The flow.
        entrypoint: Where it was found, as `module:name`.
        classes: The modules of the classes of what goes in, see `modules_of`.
        elsewhere: Whether another process runs it, which loads the files as they are now.
    """
    reading = _Reading(flow, elsewhere=elsewhere)
    made = Making(flow)
    for name in sorted(classes):
        reading.add(name)
    reading.read({*made.modules, *([entrypoint.partition(":")[0]] if entrypoint else [])}, made.names)
    version = flow.version if flow.version and not _is_hash_of_file(flow) else None
    problems = [*made.problems, *reading.problems, *(reading.unclear if version is None else [])]
    return Code(
        name=flow.name,
        version=version,
        enclosed=made.digest,
        modules=reading.digests(),
        versions={"Python": ".".join(map(str, sys.version_info[:2])), **reading.versions},
        problem=problems[0] if problems else None,
    )


class _Reading:
    """Reads modules of the user, and those that they import."""

    def __init__(self, flow: Flow[..., Any], *, elsewhere: bool) -> None:
        self.versions: dict[str, str] = {}
        self.problems: list[str] = []
        self.unclear: list[str] = []
        self._elsewhere = elsewhere
        self._top = flow.fn.__module__.partition(".")[0]
        self._others: dict[str, str] = {}
        self._statements: dict[str, tuple[Statement, ...]] = {}
        self._files: dict[str, str] = {}
        self._seen: set[str] = set()
        self._imports: set[tuple[str, str]] = set()
        self._live: set[int] = set()
        self._words: set[str] = set()
        self._waiting: dict[str, list[tuple[str, Statement]]] = {}
        self._next: list[tuple[str, Statement]] = []
        self._all = False

    def read(self, modules: set[str], names: set[str]) -> None:
        """Read modules, and all code that they come to.

        Args:
            modules: Where to begin.
            names: The names that are used there.
        """
        self._words |= names
        for name in sorted(modules):
            self._module(name, required=True)
        while self._next:
            self._take(*self._next.pop())
            if not self._next:
                self._add_those_that_touch()
        if not self._elsewhere:
            self.problems += [
                f"module {imported!r} was loaded again after {name!r}, which may still use the former one"
                for name, imported in sorted(self._imports)
                if imported in self._statements and loaded_again(name, imported)
            ]

    def _add_those_that_touch(self) -> None:
        """Add the modules that are loaded, and have changed one of these as they were."""
        for name in watched() - self._statements.keys() - self._others.keys():
            module = None if LIBRARY.match(name) else find_module(name)
            if module is None or module.file is None or not module.file.endswith(_SOURCE):
                continue
            with suppress(*_UNREADABLE):
                statements = read_source(module.file, state_of(module.file), name, module.package)
                touched = {one for statement in statements for one in statement.touches}
                if any(map(self._leads_here, touched)):
                    self._module(name, only_own=True)

    def _leads_here(self, name: str) -> bool:
        """Return whether a dotted name leads into a module that counts."""
        parts = name.split(".")
        return any(".".join(parts[:count]) in self._statements for count in range(1, len(parts) + 1))

    def add(self, module: str) -> None:
        """Read a module too, if the user has made it."""
        self._module(module, only_own=True)

    def digests(self) -> dict[str, str]:
        """Return the digest of each module by its name."""
        found = {
            imported_as(name): digest_of([one for one in statements if id(one) in self._live])
            for name, statements in self._statements.items()
        }
        return self._others | found

    def _take(self, module: str, statement: Statement) -> None:
        """Take a statement, and what it comes to."""
        if id(statement) in self._live:
            return
        self._live.add(id(statement))
        self._words |= statement.words
        self.unclear += [f"{self._files[module]}:{place}" for place in statement.unclear]
        for imported in statement.imports:
            self._module(imported)
            if not statement.text.startswith(_DEFINITIONS):  # a function imports when it is called
                self._imports |= {(module, imported), (module, imported.rpartition(".")[0])}
        for package in (*statement.packages, *statement.stars):
            self._package(package, named=package in statement.stars)
        if statement.loaded:
            for loaded in [*sys.modules]:
                self._module(loaded, only_own=True)
        everything = statement.by_any_name or any(one in self._statements for one in statement.passed)
        self._all |= everything
        for name in self._waiting.keys() & (self._waiting.keys() if self._all else statement.words):
            self._next += self._waiting.pop(name)

    def _add(self, module: str, statements: tuple[Statement, ...]) -> None:
        """Add the statements of a module: functions wait until they are named."""
        self._statements[module] = statements
        for one in statements:
            if one.name is None or self._all or one.name in self._words:
                self._next.append((module, one))
            else:
                self._waiting.setdefault(one.name, []).append((module, one))

    def _package(self, name: str, *, named: bool) -> None:
        """Read the modules of a package, if it is one of the user: all, or those whose names stand in it."""
        self._module(name)
        package = find_module(name) if self._is_own(name) else None
        words = set().union(*(one.words for one in self._statements.get(name, ()))) if named else set()
        for inner in modules_in(package) if package else ():
            if not named or inner.removeprefix(f"{name}.") in words:
                self._module(inner)

    def _module(self, name: str, *, required: bool = False, only_own: bool = False) -> None:
        """Read a module and the packages that it is in."""
        if LIBRARY.match(name):
            self.versions["lume-services"] = __version__
            return
        if name in self._seen or (only_own and name.startswith("__")):
            return
        self._seen.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            self._module(parent, only_own=only_own)
            if not self._is_own(parent) and not LIBRARY.match(parent):
                return  # a part of a distribution, or not there
        module = find_module(name)
        if module is not None:
            top = name.partition(".")[0]
            versions = None if top in (self._top, "lume_services") else versions_of(module)
            if versions is None and (module.file or not only_own):
                self._read(module)
            elif versions is not None and not only_own:
                self.versions |= versions
        elif required:
            self.problems.append(f"its module {name!r} is in no file")
        elif not parent and not only_own:
            self._others[name] = _MISSING

    def _is_own(self, name: str) -> bool:
        return name in self._statements or name in self._others

    def _read(self, module: Module) -> None:
        if module.file is None:
            if module.folders:
                self._others[module.name] = "a folder"
            else:
                self.problems.append(
                    f"its module {module.name!r} is in no file; it was made in a console or notebook"
                )
            return
        try:
            if module.file.endswith(_SOURCE):
                self._files[module.name] = module.file
                self._add(module.name, self._loaded(module, module.file))
            else:
                with Path(module.file).open("rb") as file:
                    self._others[module.name] = file_digest(file, "sha256").hexdigest()
                if module.name in sys.modules and not (
                    self._elsewhere or as_loaded(module.name, module.file)
                ):
                    self.problems.append(_edited(module.file))
        except _UNREADABLE as error:
            self.problems.append(f"the source of module {module.name!r} cannot be read: {error}")

    def _loaded(self, module: Module, file: str) -> tuple[Statement, ...]:
        """Return the statements of a module as they were loaded; as they are, where it is not loaded yet."""
        loaded = None if self._elsewhere else sys.modules.get(module.name)
        known = _known.get(loaded) if loaded else None
        if known is not None and known.sought is sought(module.name):
            return known.statements
        statements = read_source(file, state_of(file), module.name, module.package)
        if loaded is not None and as_loaded(module.name, file):
            _known[loaded] = _Known(statements, sought(module.name))
        elif loaded is not None:
            self.problems.append(_edited(file))
        return statements


@dataclass(frozen=True)
class _Known:
    """A module as it was loaded."""

    statements: tuple[Statement, ...]
    sought: Sought | None


_known: WeakKeyDictionary[ModuleType, _Known] = WeakKeyDictionary()


def _edited(file: str) -> str:
    return f"{file} may have changed after this process had loaded it. Start the process again"


def _is_hash_of_file(flow: Flow[..., Any]) -> bool:
    """Return whether the version of a flow is the one that Prefect gives where the user gives none."""
    if not _HASH.fullmatch(flow.version or ""):
        return False
    try:
        file = inspect.getsourcefile(inspect.unwrap(flow.fn)) or ""
        return flow.version == file_hash(file) or not as_loaded(flow.fn.__module__, file)
    except (OSError, TypeError):
        return False
