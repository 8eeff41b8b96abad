"""The code that a flow runs: what has to be the same for an earlier run of it to count."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from hashlib import file_digest
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Self
from weakref import WeakKeyDictionary

from prefect import Flow, Task
from prefect.utilities.hashing import file_hash

from lume_services import __version__
from lume_services.errors import LUMEServicesError
from lume_services.flows.runs.modules import (
    LIBRARY,
    Module,
    find_module,
    imported_as,
    modules_in,
    versions_of,
)
from lume_services.flows.runs.source import Statement, digest_of, read_source
from lume_services.loaded import Sought, as_loaded, sought, state_of
from lume_services.values import fingerprint

_SOURCE = (".py", ".pyw")
_MISSING = "not there"
_HASH = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Code:
    """The code of a flow.

    Attributes:
        name: The name of the flow.
        version: Its version, where the user gave one.
        enclosed: The fingerprint of what a flow was made of that was not made by its module alone; or its
            names there, where they are not that of its function.
        modules: The digest of the source of each module of the user that the flow comes to, by name; only
            what it can come to counts.
        versions: The versions of Python and of the distributions that these modules import.
        problem: Why it cannot be shown what the flow runs; None if it can.
    """

    name: str
    version: str | None
    enclosed: str
    modules: Mapping[str, str]
    versions: Mapping[str, str]
    problem: str | None = None

    @classmethod
    def of_record(cls, record: Any) -> Self:
        """Return the code from what a record has of it, which is only data."""
        if not isinstance(record, Mapping) or record.keys() != {one.name for one in fields(cls)}:
            return cls("", None, "", {}, {}, "the record does not say what it ran")
        return cls(**record)

    def differences(self, then: Code) -> list[str]:
        """Return what is different from the code of an earlier run, by name."""
        found = [
            f"{what} was {was or 'not used'} and is {now or 'not used'}"
            for what, was, now in (
                ("its name", then.name, self.name),
                ("its version", then.version, self.version),
                *(
                    (name, then.versions.get(name), self.versions.get(name))
                    for name in _other(self.versions, then.versions)
                ),
            )
            if was != now
        ]
        for name in _other(self.modules, then.modules):
            new, gone = name not in then.modules, name not in self.modules
            found.append(
                f"module {name!r}" + (" is new" if new else " is not imported any more" if gone else "")
            )
        return found + (["the values that it encloses"] if self.enclosed != then.enclosed else [])


def code_of(flow: Flow[..., Any], entrypoint: str | None = None, *, elsewhere: bool = False) -> Code:
    """Return the code of a flow. Nothing is imported, nothing runs.

    It is the source, as it was loaded, of the module of the flow and of the modules of the user that this
    imports, directly or not, without comments, docstrings and layout, and the versions of all else. A
    function that no other code names does not count.

    Args:
        flow: The flow.
        entrypoint: Where it was found, as `module:name`.
        elsewhere: Whether another process runs it, which loads the files as they are now.
    """
    reading = _Reading(flow, elsewhere=elsewhere)
    made = _Made(flow)
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


class _Made:
    """How a flow was made: by its module as it was loaded, or by a call, with values of its own.

    Attributes:
        modules: The modules of its functions.
        names: The names that lead to it.
        digest: Of its functions and their values, where a call has made it; empty otherwise.
        problems: Why it cannot be compared.
    """

    def __init__(self, flow: Flow[..., Any]) -> None:
        self.modules: set[str] = set()
        self.problems: list[str] = []
        self._seen: set[int] = set()
        self.names = {flow.fn.__name__, *flow.fn.__qualname__.split(".")}
        for function in _chain(flow.fn):
            self.modules |= {function.__module__, function.__globals__.get("__name__", function.__module__)}
        home = sys.modules.get(flow.fn.__module__)
        known = {name for name, value in vars(home).items() if value is flow} if home else set()
        if not known and home is not None and _at(home, flow.fn.__qualname__) is flow:
            known = {flow.fn.__qualname__}
        self.names |= known
        self.digest = ""
        if known != {flow.fn.__qualname__}:
            self.digest = " ".join(sorted(known)) or fingerprint(list(self._parts(flow.fn)))

    def _parts(self, value: Any) -> Iterator[str]:
        """Yield what a function, and all that it encloses, was made of."""
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, Flow | Task):
            yield from self._parts(value.fn)
        elif isinstance(value, partial):
            yield from self._parts([value.func, value.args, value.keywords])
        elif isinstance(value, FunctionType):
            self.modules |= {value.__module__, value.__globals__.get("__name__", value.__module__)}
            self.names |= {value.__name__, *value.__qualname__.split(".")}
            yield value.__qualname__
            yield _compiled(value.__code__)
            yield from self._parts([value.__defaults__, value.__kwdefaults__])
            for cell in value.__closure__ or ():
                yield from self._parts(_content(cell))
        elif inspect.ismethod(value):
            yield from self._parts([value.__func__, value.__self__])
        elif isinstance(value, BuiltinFunctionType):
            yield value.__qualname__
            yield from self._parts(value.__self__)
        elif isinstance(value, type | ModuleType):
            self.modules.add(value.__module__ if isinstance(value, type) else value.__name__)
            yield getattr(value, "__qualname__", value.__name__)
        elif hasattr(value, "__wrapped__"):
            yield from self._parts(value.__wrapped__)
        elif isinstance(value, list | tuple) or (isinstance(value, dict) and all(map(_is_text, value))):
            yield f"{type(value).__qualname__} of {len(value)}"
            for part in value.items() if isinstance(value, dict) else value:
                yield from self._parts(part)
        else:
            yield self._value(value)

    def _value(self, value: Any) -> str:
        try:
            return fingerprint(value)
        except LUMEServicesError:
            self.problems.append(
                f"it encloses a value that cannot be compared, of type {type(value).__name__}"
            )
            return ""


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
        self._live: set[int] = set()
        self._words: set[str] = set()
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
        while self._grow():
            pass

    def digests(self) -> dict[str, str]:
        """Return the digest of each module by its name."""
        found = {
            imported_as(name): digest_of([one for one in statements if id(one) in self._live])
            for name, statements in self._statements.items()
        }
        return self._others | found

    def _grow(self) -> bool:
        """Take what is named by now; return whether there was any."""
        found = [
            (name, statement)
            for name, statements in list(self._statements.items())
            for statement in statements
            if id(statement) not in self._live
            and (self._all or statement.name is None or statement.name in self._words)
        ]
        for name, statement in found:
            self._live.add(id(statement))
            self._words |= statement.words
            self._all = self._all or statement.by_any_name
            self.unclear += [f"{self._files[name]}:{place}" for place in statement.unclear]
            for imported in statement.imports:
                self._module(imported)
            for package in statement.packages:
                self._package(package)
            if any(passed in self._statements for passed in statement.passed):
                self._all = True
            if statement.what_is_loaded:
                for loaded in [*sys.modules]:
                    self._module(loaded, only_own=True)
        return bool(found)

    def _package(self, name: str) -> None:
        """Read all modules of a package, if it is one of the user."""
        self._module(name)
        if self._is_own(name):
            package = find_module(name)
            for inner in modules_in(package) if package else ():
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
                self._statements[module.name] = self._loaded(module, module.file)
            else:
                with Path(module.file).open("rb") as file:
                    self._others[module.name] = file_digest(file, "sha256").hexdigest()
                if module.name in sys.modules and not (
                    self._elsewhere or as_loaded(module.name, module.file)
                ):
                    self.problems.append(_edited(module.file))
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
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


def _other(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def _chain(function: Any) -> Iterator[FunctionType]:
    """Yield a function and those that it wraps."""
    seen = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        if isinstance(function, FunctionType):
            yield function
        function = getattr(function, "__wrapped__", None)


def _at(owner: Any, path: str) -> Any:
    for name in path.split("."):
        owner = getattr(owner, "__dict__", {}).get(name)
    return owner


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is given its value later
        return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _compiled(code: CodeType) -> str:
    """Return what tells two functions of one place apart, as those that `lambda` makes."""
    constants = [_compiled(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return repr((code.co_code, code.co_names, constants))


def _is_hash_of_file(flow: Flow[..., Any]) -> bool:
    """Return whether the version of a flow is the one that Prefect gives where the user gives none."""
    if not _HASH.fullmatch(flow.version or ""):
        return False
    try:
        file = inspect.getsourcefile(inspect.unwrap(flow.fn)) or ""
        return flow.version == file_hash(file) or not as_loaded(flow.fn.__module__, file)
    except (OSError, TypeError):
        return False
