"""How a flow was made: by its module alone, or by a call, with values of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from prefect import Flow, Task

from lume_services.errors import LUMEServicesError
from lume_services.values import fingerprint

_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


class Making:
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
        self._around: list[int] = []
        self.names = {flow.fn.__name__, *flow.fn.__qualname__.split(".")}
        for function in _chain(flow.fn):
            self.modules |= {function.__module__, function.__globals__.get("__name__", function.__module__)}
        home = sys.modules.get(flow.fn.__module__)
        known = {name for name, value in vars(home).items() if value is flow} if home else set()
        if not known and home is not None and _at(home, flow.fn.__qualname__) is flow:
            known = {flow.fn.__qualname__}
        self.names |= known
        own = [] if known == {flow.fn.__qualname__} else sorted(known)
        if not known or any(function.__closure__ for function in _chain(flow.fn)):
            own += self._parts(flow.fn)
        self.digest = fingerprint(own) if own else ""
        if known:  # what cannot be compared was made by the module
            self.problems.clear()

    def _parts(self, value: Any) -> Iterator[str]:
        """Yield what a function, and all that it encloses, was made of."""
        if id(value) in self._around:
            yield "itself"
            return
        self._around.append(id(value))
        yield from self._of_code(value) if _is_code(value) else self._of_value(value)
        self._around.pop()

    def _of_code(self, value: Any) -> Iterator[str]:
        if isinstance(value, FunctionType):
            self.modules |= {value.__module__, value.__globals__.get("__name__", value.__module__)}
            self.names |= {value.__name__, *value.__qualname__.split(".")}
            yield value.__qualname__
            yield _compiled(value.__code__, value.__doc__)
            for inner in (value.__defaults__, value.__kwdefaults__, *map(_content, value.__closure__ or ())):
                yield from self._parts(inner)
        elif isinstance(value, type | ModuleType):
            self.modules.add(value.__module__ if isinstance(value, type) else value.__name__)
            yield getattr(value, "__qualname__", value.__name__)
            if "<locals>" in getattr(value, "__qualname__", ""):
                self.problems.append(f"it encloses the class {value.__name__!r}, which a call has made")
        elif isinstance(value, partial):
            for inner in (value.func, value.args, value.keywords):
                yield from self._parts(inner)
        elif isinstance(value, MethodType):
            for inner in (value.__func__, value.__self__):
                yield from self._parts(inner)
        elif isinstance(value, BuiltinFunctionType):
            yield value.__qualname__
            yield from self._parts(value.__self__)
        elif isinstance(value, Flow | Task):
            yield from self._parts(value.fn)
        else:
            yield from self._parts(type(value))
            yield from self._parts({name: part for name, part in vars(value).items() if name != "__doc__"})

    def _of_value(self, value: Any) -> Iterator[str]:
        try:
            yield fingerprint(value)
        except LUMEServicesError:
            inner = value.items() if isinstance(value, dict) else value
            if not isinstance(value, list | tuple | dict):
                name = type(value).__name__
                self.problems.append(f"it encloses a value that cannot be compared, of type {name}")
                return
            yield f"{type(value).__qualname__} of {len(value)}"
            for part in inner:
                yield from self._parts(part)


def modules_of(value: Any) -> set[str]:
    """Return the modules of the classes of all objects in a value, whose methods a flow may call."""
    found: set[str] = set()
    seen: dict[int, Any] = {}
    rest = [value]
    while rest:
        one = rest.pop()
        kind = type(one)
        if kind in _PLAIN or id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, list | tuple | set | frozenset | dict):
            parts = [*one, *one.values()] if isinstance(one, dict) else one
            rest += parts if not _PLAIN.issuperset(map(type, parts)) else []
        found.add(kind.__module__)
        rest.append(getattr(one, "__dict__", None))
    return found


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


def _is_code(value: Any) -> bool:
    kinds = (FunctionType, MethodType, BuiltinFunctionType, type, ModuleType, partial, Flow, Task)
    return isinstance(value, kinds) or (callable(value) and hasattr(value, "__wrapped__"))


def _compiled(code: CodeType, doc: str | None) -> str:
    """Return what tells two functions of one place apart, as those that `lambda` makes."""
    constants = [
        _compiled(one, None) if isinstance(one, CodeType) else repr(one)
        for one in code.co_consts
        if doc is None or one != doc
    ]
    return repr((code.co_code, code.co_names, constants))
