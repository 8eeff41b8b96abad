"""NumPy arrays as the predecessor pickled them, read without unpickling.

A pickle is a program for a stack machine: it may import and call anything. Here its instructions are read one
by one. Those that a pickled array has only put plain values, or the wish to call something by name, on
a stack; the names are compared with the few that an array needs. Nothing is imported, nothing is called. Any
other instruction or name is refused. What is left at the end must have the layout of an array, of any NumPy
version and pickle protocol.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lume_services.errors import DecodeError

# What each name in a pickle means; NumPy 2 and Python 3 have renamed modules.
_NAMES = {
    "numpy.core.multiarray._reconstruct": "reconstruct",
    "numpy._core.multiarray._reconstruct": "reconstruct",
    "numpy.core.numeric._frombuffer": "frombuffer",
    "numpy._core.numeric._frombuffer": "frombuffer",
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
    "builtins.bytes": "bytes",
    "__builtin__.bytes": "bytes",
}
_MOST_INSTRUCTIONS = 1000  # an array has about 50, and 2 more for each of at most 64 axes
_MOST_AXES = 64
_SHOWN = 100
_SIMPLE = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|[US]\d{1,9}|[mM]8")
_UNITS = frozenset({"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"})


def read_pickled_array(data: bytes) -> NDArray[Any]:
    """Return the array of a pickle of a NumPy array.

    Args:
        data: What `pickle.dumps(array)` gave, in any protocol.

    Raises:
        DecodeError: It is anything else, or damaged, or an array of Python objects or of records. The message
            names what was found.
    """
    try:
        return _array(_Machine().run(data))
    except _RefusedError as error:
        why = str(error)
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError, Warning) as error:
        why = f"it is damaged ({error})"
    raise DecodeError(
        f"this is no pickled NumPy array of numbers, text or dates: {why}.",
        remedy="It is not read, because unpickling it could run any program.",
    )


class _RefusedError(Exception):
    """Says what was found in the pickle."""


@dataclass(frozen=True)
class _Name:
    """A name that the pickle wants to have imported."""

    name: str


@dataclass
class _Call:
    """What the pickle wants to have made by calling a name, and the state to give it."""

    name: str
    arguments: Any
    state: Any = None


class _Machine:
    """Follows the instructions of a pickle as far as an array needs them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """Return what is on the stack at the end."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return self._pop()
            if opcode.name not in _INSTRUCTIONS:
                raise _RefusedError(f"the instruction {opcode.name} is not one of an array")
            if count > _MOST_INSTRUCTIONS:
                raise _RefusedError("it has too many instructions")
            _INSTRUCTIONS[opcode.name](self, argument)
        raise _RefusedError("it has no end")

    def ignore(self, argument: Any) -> None:
        pass

    def push(self, argument: Any) -> None:
        self._stack.append(argument)

    def mark(self, argument: Any) -> None:  # noqa: ARG002
        self._marks.append(len(self._stack))

    def tuple_from_mark(self, argument: Any) -> None:  # noqa: ARG002
        start = self._marks.pop()
        self._stack[start:] = [tuple(self._stack[start:])]

    def name(self, argument: str) -> None:
        found = argument.replace(" ", ".")
        if found not in _NAMES:
            raise _RefusedError(f"it names {found[:_SHOWN]!r}")
        self._stack.append(_Name(_NAMES[found]))

    def name_from_stack(self, argument: Any) -> None:  # noqa: ARG002
        name, module = self._pop(), self._pop()
        self.name(f"{module}.{name}")

    def put(self, argument: int) -> None:
        self._memo[argument] = self._stack[-1]

    def memoize(self, argument: Any) -> None:  # noqa: ARG002
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: int) -> None:
        self._stack.append(self._memo[argument])

    def call(self, argument: Any) -> None:  # noqa: ARG002
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Name):
            raise _RefusedError("it calls what is no name")
        self._stack.append(_Call(called.name, arguments))

    def build(self, argument: Any) -> None:  # noqa: ARG002
        state = self._pop()
        built = self._stack[-1]
        if not isinstance(built, _Call) or built.state is not None:
            raise _RefusedError("it gives a state to what takes none")
        built.state = state

    def _pop(self) -> Any:
        return self._stack.pop()


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def make(machine: _Machine, argument: Any) -> None:  # noqa: ARG001
        parts = [machine._pop() for _ in range(count)]  # noqa: SLF001
        machine.push(tuple(reversed(parts)))

    return make


def _push_constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(value)


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _Machine.ignore),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"), _Machine.push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _Machine.push),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"), _Machine.push),
    "NONE": _push_constant(None),
    "NEWTRUE": _push_constant(True),
    "NEWFALSE": _push_constant(False),
    "EMPTY_DICT": _push_constant({}),
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple_from_mark,
    "EMPTY_TUPLE": _tuple_of(0),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_from_stack,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "MEMOIZE": _Machine.memoize,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}


def _array(found: Any) -> NDArray[Any]:
    match found:
        case _Call("reconstruct", (_Name("ndarray"), (0,), _), (1, shape, dtype, bool(is_fortran), data)):
            return _filled(data, dtype, shape, "F" if is_fortran else "C")
        case _Call("frombuffer", (data, dtype, shape, "C" | "F" as order), None):
            return _filled(data, dtype, shape, order)
    raise _RefusedError("it has another layout")


def _filled(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    content, kind = _bytes(data), _dtype(dtype)
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_AXES
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise _RefusedError("its shape is none")
    if len(content) != kind.itemsize * math.prod(shape):
        raise _RefusedError(f"{len(content)} bytes are no array of shape {shape} and dtype {kind}")
    return np.ndarray(shape, kind, content, order=order).copy(order=order)


def _bytes(found: Any) -> bytes | bytearray:
    """Return bytes: as they are, or as the protocols before 3 write them."""
    match found:
        case bytes() | bytearray():
            return found
        case _Call("encode", (str(text), "latin1"), None):
            return text.encode("latin-1")
        case _Call("bytes", (), None):
            return b""
    raise _RefusedError("its data are no bytes")


def _dtype(found: Any) -> np.dtype[Any]:
    """Return a dtype from its code, as `f8`, and the byte order in its state."""
    match found:
        case _Call(
            "dtype",
            (str(code), 0, 1),
            (3 | 4, "<" | ">" | "|" as order, None, None, None, int(), int(), int(), *more),
        ) if _SIMPLE.fullmatch(code):
            return np.dtype(f"{order}{code}{_unit(code, more)}")
        case _Call("dtype", (str(code), *_)):
            raise _RefusedError(f"its elements are of dtype {code[:_SHOWN]!r}")
    raise _RefusedError("its dtype is none")


def _unit(code: str, more: list[Any]) -> str:
    """Return the unit of a date, as `[10ms]`, from what follows in the state of a dtype."""
    is_date = code in ("m8", "M8")
    match more:
        case [] if not is_date:
            return ""
        case [(None | {}, (unit, int(count), 1, 1))] if is_date and count > 0:
            name = _bytes(unit).decode("ascii", "replace")
            if name in _UNITS:
                return f"[{count}{name}]"
            if name == "generic":
                return ""
    raise _RefusedError("its dtype has metadata")
