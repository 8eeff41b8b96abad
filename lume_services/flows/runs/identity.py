"""What makes the run of a step the same as another: its place, its code, and what goes in."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import resolve_name
from types import ModuleType
from typing import Any

from prefect import Flow
from prefect.utilities.hashing import file_hash

from lume_services.errors import LUMEServicesError
from lume_services.flows.discover import LIBRARY, Code, CodeReader, has_source, statements_of
from lume_services.services.scheduling.parameters import bind_parameters
from lume_services.values import fingerprint

_UNCHANGING = (str, bytes, int, float, complex, bool, type(None))


@dataclass(frozen=True)
class Identity:
    """A step with all that goes in.

    Attributes:
        step: The name of the step.
        code: The fingerprint of the code of its flow.
        inputs: The fingerprints of all parameters of the flow by name; None if one has none.
        problem: Why it has none.
    """

    step: str
    code: str
    inputs: Mapping[str, str] | None
    problem: str | None = None

    @classmethod
    def of(cls, step: str, flow: Flow[..., Any], code: str, parameters: Mapping[str, Any]) -> Identity:
        """Return the identity of a step.

        Args:
            step: The name of the step.
            flow: Its flow.
            code: What `code_fingerprint` returned for the flow.
            parameters: What goes in; the defaults of the flow are added.
        """
        inputs: dict[str, str] = {}
        for name, value in bind_parameters(flow, parameters).items():
            try:
                inputs[name] = fingerprint(value)
            except LUMEServicesError as error:
                return cls(step, code, None, f"its parameter {name!r} cannot be compared: {error.message}")
        return cls(step, code, inputs)

    @property
    def key(self) -> str | None:
        """One fingerprint of it all."""
        if self.inputs is None:
            return None
        return fingerprint({"step": self.step, "code": self.code, "inputs": dict(self.inputs)})


def code_fingerprint(flow: Flow[..., Any]) -> str:
    """Return the fingerprint of the code of a flow: what decides whether an earlier run counts.

    It is that of the source of the flow, of its tasks and of all that they call of their own package, and of
    the constants there; comments and layout do not count. Other packages do not count either: `version` of
    the flow, which does, is there for that.
    """
    reader = _CodeCollector(flow.fn.__module__.partition(".")[0])
    reader.function(flow.fn)
    own_version = flow.version if flow.version and not _is_hash_of_file(flow) else None
    return fingerprint({"name": flow.name, "version": own_version, "code": sorted(reader.parts)})


class _CodeCollector(CodeReader):
    """Collects the code that a flow can come to, as text that says the same on every machine.

    A global name counts with the statements that define it, not with its value, which may change as the flow
    runs; a name of an enclosing function with its value where that cannot change.
    """

    def __init__(self, package: str) -> None:
        super().__init__(package)
        self.parts: list[str] = []

    def function(self, function: Any) -> None:
        super().function(function)
        function = inspect.unwrap(function)
        self.parts += [repr(value) for value in _enclosed(function) if isinstance(value, _UNCHANGING)]
        if not has_source(function):
            self.parts.append(repr((function.__code__.co_code, function.__code__.co_names)))

    def read(self, code: Code) -> None:
        self.parts += [ast.dump(statement) for statement in code.statements]
        module = sys.modules.get(str(code.names.get("__name__")))
        for name in sorted({node.id for node in code.nodes() if isinstance(node, ast.Name)}):
            self.parts += self._definitions(module, name)
        super().read(code)

    def module(self, name: str, members: Collection[str] | None) -> None:  # noqa: ARG002
        """Read a module whole that is imported inside of a function: it may be loaded in one process only."""
        ours = name.partition(".")[0] == self.package and not LIBRARY.match(name)
        if ours and name not in self.seen:
            self.seen.add(name)
            self.read(Code(statements_of(name) or (), {}, name.rpartition(".")[0] or None))

    def _definitions(self, module: ModuleType | None, name: str) -> Iterator[str]:
        """Yield the statements that give a global name its value, in the module that it comes from."""
        for statement in _statements(module) if module else ():
            if isinstance(statement, ast.ImportFrom):
                for alias in statement.names:
                    if name == (alias.asname or alias.name):
                        yield from self._definitions(self._own_module(statement, module), alias.name)
            elif name in _assigned(statement):
                yield ast.dump(statement)

    def _own_module(self, statement: ast.ImportFrom, importer: ModuleType | None) -> ModuleType | None:
        try:
            package = getattr(importer, "__package__", None)
            name = resolve_name("." * statement.level + (statement.module or ""), package)
        except ImportError:
            return None
        return sys.modules.get(name) if name.partition(".")[0] == self.package else None


def _enclosed(function: Any) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a name that is given its value later
            yield cell.cell_contents


@lru_cache(maxsize=256)
def _statements(module: ModuleType) -> list[ast.stmt]:
    try:
        return ast.parse(inspect.getsource(module)).body
    except (OSError, TypeError, SyntaxError):
        return []


def _assigned(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value; functions and classes are read for themselves."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return set()
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _is_hash_of_file(flow: Flow[..., Any]) -> bool:
    """Return whether the version of a flow is the one that Prefect gives where the user gives none."""
    try:
        return flow.version == file_hash(inspect.getsourcefile(inspect.unwrap(flow.fn)) or "")
    except (OSError, TypeError):
        return False
