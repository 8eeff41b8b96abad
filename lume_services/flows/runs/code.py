"""The code that a flow can come to, as text that is the same in every process and on every machine."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.util import resolve_name
from types import CodeType, FunctionType, ModuleType
from typing import Any

from lume_services.flows.discover import (
    LIBRARY,
    Code,
    CodeReader,
    called,
    code_in,
    code_of,
    definition_of,
    module_at,
)

_UNCHANGING = (str, bytes, int, float, complex, bool, type(None))
# What these say is how the engine runs a function, not what it does.
_OF_PREFECT = ("flow", "task")


class CodeCollector(CodeReader):
    """Collects the code that a function can come to in its own package.

    A global name counts with the statements that define it, and what they come to, not with its value, which
    may change as the flow runs; a name of an enclosing function with its value where that cannot change.

    Attributes:
        parts: The code.
    """

    def __init__(self, package: str) -> None:
        super().__init__(package)
        self.parts: list[str] = []

    def function(self, function: Any) -> None:
        """Read a function, with its defaults, annotations and decorators."""
        super().function(function)
        function = inspect.unwrap(function)
        self.parts += [repr(value) for value in _enclosed(function) if isinstance(value, _UNCHANGING)]
        definition = definition_of(function)
        if definition is None:
            self.parts.append(_compiled(function.__code__))
            return
        decorators = [] if isinstance(definition, ast.Lambda) else definition.decorator_list
        head = [definition.args, *(one for one in decorators if called(one) not in _OF_PREFECT)]
        self.read(code_in(function, head))

    def definition(self, value: FunctionType | type) -> None:
        """Read a function, or a class with its fields and bases."""
        if isinstance(value, type):
            module = sys.modules.get(value.__module__)
            names = vars(module) if module else {}
            self.read(Code(_class_of(value), names, names.get("__package__")))
        super().definition(value)

    def read(self, code: Code) -> None:
        """Take statements, and the definitions of the names in them."""
        self.parts += [_text(statement) for statement in code.statements]
        module = sys.modules.get(str(code.names.get("__name__")))
        for name in sorted({node.id for node in code.nodes() if isinstance(node, ast.Name)}):
            self._define(module, name)
        super().read(code)

    def module(self, name: str, members: Collection[str] | None) -> None:
        """Read a module whole that is imported inside of a function: it may be loaded in one process only.

        Its members may be modules, too.
        """
        for one in (name, *(f"{name}.{member}" for member in members or ())):
            if self._own(one) and one not in self.seen:
                self.seen.add(one)
                if code := code_of(one):
                    self.read(code)

    def attribute(self, node: ast.Attribute, names: Mapping[str, Any]) -> None:
        """Follow `module.name`."""
        self._define(module_at(node.value, names), node.attr)
        super().attribute(node, names)

    def _define(self, module: ModuleType | None, name: str) -> None:
        """Read the statements that give a global name its value, in the module that it comes from."""
        if module is None or not self._own(module.__name__) or f"{module.__name__}:{name}" in self.seen:
            return
        self.seen.add(f"{module.__name__}:{name}")
        for statement in _statements(module):
            if isinstance(statement, ast.ImportFrom):
                for alias in statement.names:
                    if alias.name == "*" or name == (alias.asname or alias.name):
                        origin = name if alias.name == "*" else alias.name
                        self._define(_origin(statement, module), origin)
            elif name in _assigned(statement):
                self.read(Code([statement], vars(module), module.__package__))

    def _own(self, module: str) -> bool:
        return module.partition(".")[0] == self.package and not LIBRARY.match(module)


def _origin(statement: ast.ImportFrom, importer: ModuleType) -> ModuleType | None:
    """Return the module that a statement imports from."""
    with suppress(ImportError):
        name = resolve_name("." * statement.level + (statement.module or ""), importer.__package__)
        return sys.modules.get(name)
    return None


def _text(node: Any) -> str:
    """Return a syntax tree as text. That of `ast.dump` is another one with every version of Python."""
    if isinstance(node, ast.AST):
        fields = (f"{name}={_text(part)}" for name, part in ast.iter_fields(node) if part not in (None, []))
        return f"{type(node).__name__}({', '.join(fields)})"
    return f"[{', '.join(map(_text, node))}]" if isinstance(node, list) else repr(node)


def _compiled(code: CodeType) -> str:
    """Return the code of a function without source, which is another one with every version of Python."""
    constants = [
        _compiled(constant) if isinstance(constant, CodeType) else repr(constant)
        for constant in code.co_consts
        if isinstance(constant, (*_UNCHANGING, CodeType))
    ]
    return repr((code.co_code, code.co_names, constants))


def _class_of(value: type) -> list[ast.stmt]:
    """Return how a class is defined; nothing if its source cannot be read."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(value))).body
    except (OSError, TypeError, SyntaxError):
        return []


def _enclosed(function: Any) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a name that is given its value later
            yield cell.cell_contents


@lru_cache(maxsize=256)
def _statements(module: ModuleType) -> list[ast.stmt]:
    """Return the statements of a module that run where it is imported."""
    try:
        body = ast.parse(inspect.getsource(module)).body
    except (OSError, TypeError, SyntaxError):
        return []
    return [statement for statement in body if not _is_program(statement)]


def _is_program(statement: ast.stmt) -> bool:
    """Return whether this is `if __name__ == "__main__":`."""
    return isinstance(statement, ast.If) and "__name__" in _names_in(statement.test)


def _assigned(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value; functions and classes are read for themselves."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return set()
    if isinstance(statement, ast.Assign):  # `table["a"] = 1` too
        return set().union(*map(_names_in, statement.targets))
    if isinstance(statement, ast.AnnAssign | ast.AugAssign):
        return _names_in(statement.target)
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


def _names_in(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
