"""Find the tasks that a flow calls, by reading its code."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from prefect import Flow, Task

from lume_services.flows.code.modules import LIBRARY

# With these, a flow can get at a task in ways that its code does not show.
_DYNAMIC = {"globals", "eval", "exec", "__import__", "import_module"}
_LARGEST_CONTAINER = 1000


@dataclass
class TasksOfFlow:
    """The tasks of a flow, as far as its code shows them.

    Attributes:
        tasks: The tasks by name; None for a name that is only seen, as in `with_options(name=…)`.
        complete: Whether there can be no other ones.
    """

    tasks: dict[str, Task[..., Any] | None] = field(default_factory=dict)
    complete: bool = True


def tasks_of(flow: Flow[..., Any]) -> TasksOfFlow:
    """Find the tasks that a flow calls, in its code and in what it calls of its own package.

    Nothing runs. Rather a task too many is found than one too few: whoever looks for a name that is
    not found may be told so. Code that looks tasks up dynamically makes the answer incomplete.
    """
    reader = CodeReader(flow.fn.__module__.partition(".")[0])
    reader.function(flow.fn)
    return reader.found


@dataclass(frozen=True)
class Code:
    """Statements or parts of them, what the names in them stand for, and the package that they are in."""

    statements: Sequence[ast.AST]
    names: Mapping[str, Any]
    package: str | None

    def nodes(self) -> Iterator[ast.AST]:
        """Yield all parts of the statements."""
        for statement in self.statements:
            yield from ast.walk(statement)


class CodeReader:
    """Reads the code of a function, and that of what it calls of its own package. Nothing runs.

    Args:
        package: That package.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.found = TasksOfFlow()
        self.seen: set[int | str] = set()

    def function(self, function: Any) -> None:
        """Read a function."""
        function = inspect.unwrap(function)
        definition = definition_of(function)
        if definition is None:
            self.found.complete = False
        else:
            body = [definition.body] if isinstance(definition, ast.Lambda) else definition.body
            self.read(code_in(function, body))

    def read(self, code: Code) -> None:
        """Read statements, and follow the names in them."""
        for node in code.nodes():
            if isinstance(node, ast.Call):
                self.call(node, code.names)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if any("task" in called(decorator) for decorator in node.decorator_list):
                    self.found.tasks.setdefault(node.name, None)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.module(alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                name = resolve_name("." * node.level + (node.module or ""), code.package)
                self.module(name, [alias.name for alias in node.names])
            elif isinstance(node, ast.Name) and node.id in code.names:
                self.value(code.names[node.id])
            elif isinstance(node, ast.Attribute):
                self.attribute(node, code.names)

    def call(self, node: ast.Call, names: Mapping[str, Any]) -> None:
        """Take note of a call by which a task is named, or could be found."""
        name = called(node)
        if name in _DYNAMIC or (name == "getattr" and node.args and module_at(node.args[0], names)):
            self.found.complete = False
        for keyword in node.keywords if name in ("task", "with_options") else ():
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                self.found.tasks.setdefault(str(keyword.value.value), None)
            elif keyword.arg in ("name", None):
                self.found.complete = False

    def module(self, name: str, members: Collection[str] | None) -> None:
        """Follow an import that stands inside of a function; what is not loaded yet is only read."""
        loaded = sys.modules.get(name)
        if loaded is not None:
            for member, value in vars(loaded).items():
                if (members is None and isinstance(value, Task)) or member in (members or ()):
                    self.value(value)
        elif name.partition(".")[0] == self.package and name not in self.seen:
            self.seen.add(name)
            code = code_of(name)
            if code is None:
                self.found.complete = False
            else:
                self.read(code)

    def attribute(self, node: ast.Attribute, names: Mapping[str, Any]) -> None:
        """Follow `module.task`, and no other attribute: reading one may run code."""
        owner = module_at(node.value, names)
        if owner is not None and hasattr(owner, node.attr):
            self.value(getattr(owner, node.attr))

    def value(self, value: Any) -> None:
        """Follow what a name stands for."""
        if id(value) in self.seen:
            return
        self.seen.add(id(value))
        if isinstance(value, Task):
            self.found.tasks[value.name] = value
            # A task that is called by a task belongs to the same flow run.
            self.value(value.fn)
        elif isinstance(value, list | tuple | set | frozenset | dict):
            self.items(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, FunctionType | type):
            if self.ours(value):
                self.definition(value)
        elif self.ours(type(value)):
            self.value(type(value))
            self.items(getattr(value, "__dict__", {}).values())

    def items(self, items: Collection[Any]) -> None:
        """Follow the items of a container."""
        if len(items) > _LARGEST_CONTAINER:
            self.found.complete = False
            return
        for item in items:
            self.value(item)

    def definition(self, value: FunctionType | type) -> None:
        """Read a function or the methods of a class."""
        if isinstance(value, FunctionType):
            self.function(value)
            return
        for member in vars(value).values():
            function = inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", member)))
            # What dataclasses and the like generate has no file, and calls no tasks.
            if not isinstance(function, FunctionType) or not function.__code__.co_filename.startswith("<"):
                self.value(function)

    def ours(self, thing: Any) -> bool:
        """Return whether a thing is defined in the package that is read."""
        module = str(getattr(thing, "__module__", ""))
        return module.partition(".")[0] == self.package and not LIBRARY.match(module)


def definition_of(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    """Return how a function is defined; None if its source cannot be read, or has several of the kind."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    first = tree.body[0]
    if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef):
        return first
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return lambdas[0] if len(lambdas) == 1 else None


def code_in(function: Any, statements: Sequence[ast.AST]) -> Code:
    """Return a part of the definition of a function, with what the names there stand for."""
    return Code(statements, _names_of(function), function.__globals__.get("__package__"))


def code_of(module: str) -> Code | None:
    """Return the code of a module by its name, without importing it; None if it cannot be read."""
    try:
        spec = _spec_of(module)
        if spec is None or spec.origin is None or not spec.has_location:
            return None
        return Code(ast.parse(Path(spec.origin).read_bytes()).body, {}, spec.parent or None)
    except (ImportError, OSError, SyntaxError, ValueError):
        return None


def _spec_of(module: str) -> ModuleSpec | None:
    """Find a module, without importing the packages that it is in."""
    name, *parts = module.split(".")
    spec = find_spec(name)
    for part in parts:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec


def _names_of(function: Any) -> dict[str, Any]:
    names = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # a name that is given its value later
            continue
    return names


def called(node: ast.expr) -> str:
    """Return the last name of a call or a decorator: `task` for `@prefect.task(retries=1)`."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def module_at(node: ast.expr, names: Mapping[str, Any]) -> ModuleType | None:
    """Return the module that an expression like `package.module` stands for; None if it is none."""
    found: Any = None
    if isinstance(node, ast.Name):
        found = names.get(node.id)
    elif isinstance(node, ast.Attribute):
        found = getattr(module_at(node.value, names), node.attr, None)
    return found if isinstance(found, ModuleType) else None
