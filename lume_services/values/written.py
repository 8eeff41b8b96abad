"""Files that people write, read as they are written: YAML, JSON and TOML, with the line of every part.

YAML is 1.2 with the core schema: `1e-6` is a number, `0777` is 777; `on`, `190:20:30` and `2024-01-31` are
text. Tags are refused, and so is a key that is written twice. In JSON there are also `NaN`, `Infinity` and
`-Infinity`, as Python's `json.dump` writes them. Nothing is ever built from a file but plain data.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

import yaml

from lume_services.errors import Problem, UnreadableFileError

Loc = tuple[str | int, ...]
"""The way to a part: `("composing_flows", 1, "mapped_parameters", "text1")`."""

MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_DIGITS = 1000
_EXACT = 15  # a float keeps so many digits of any number


@dataclass(frozen=True)
class Place:
    """Where a part stands.

    Attributes:
        order: Its number in the order of the source.
        line: Its line, counted from 1, or None where it was not read from a file.
    """

    order: int
    line: int | None = None


@dataclass(frozen=True)
class Written:
    """What a file holds.

    Attributes:
        data: Dicts, lists, text, numbers, bool, None; None for an empty file.
        places: The place of every part.
        problems: What is wrong with parts of it, as a key written twice.
        digits: The text of numbers that have more digits than a float keeps.
    """

    data: Any
    places: Mapping[Loc, Place] = field(default_factory=dict)
    digits: Mapping[Loc, str] = field(default_factory=dict)
    problems: Sequence[tuple[Place, Problem]] = ()


def read_written(
    text: str,
    source: str,
    *,
    what: str,
    floats: Callable[[str], Any] | None = None,
    most: int = MAX_NODES,
) -> Written:
    """Read text by the ending of the name of its file: JSON, TOML, or else YAML.

    Args:
        text: The text.
        source: The name of the file.
        what: What the file is called in errors: `spec`.
        floats: What to make of the text of a number with a point or an exponent; default: a float.
        most: How many parts it may have.

    Raises:
        UnreadableFileError: It is not of that form, too deep or too large.
    """
    ending = source.rpartition(".")[2].lower()
    if ending == "toml":
        return _read_toml(text, source)
    reader: _Reader = (_JSONReader if ending == "json" else _YAMLReader)(source, what, floats or _float, most)
    try:
        data = reader.read(text)
    except RecursionError:
        reader.too_deep(source)
    return Written(data, reader.places, reader.digits, reader.problems)


def meaning(text: str, *, floats: Callable[[str], Any] | None = None) -> Any:
    """Return what text means that is given as a value on the command line: JSON, or else itself.

    Args:
        text: The text.
        floats: As for `read_written`.

    Raises:
        ValueError: It is JSON with a key twice, or with a number that Python does not have.
    """
    try:
        written = read_written(text, "value.json", what="value", floats=floats)
    except UnreadableFileError:
        return text
    if written.problems:
        raise ValueError(written.problems[0][1].message)
    return written.data if text.strip() else text


def read_json(text: str) -> Any:
    """Return what JSON text means: an option, or a variable of the environment.

    Raises:
        ValueError: It is not JSON, has a key twice, or is too deep or too large.
    """
    reader = _JSONReader("JSON", "text", _float)
    try:
        found = reader.read(text)
    except UnreadableFileError as error:
        raise ValueError(f"not valid JSON: {error.message.partition(': ')[2] or error.message}") from None
    except RecursionError:
        raise ValueError("not valid JSON: it is nested too deep.") from None
    if reader.empty:
        raise ValueError("not valid JSON: it is empty.")
    if reader.problems:
        raise ValueError(f"not valid JSON: {reader.problems[0][1].message}")
    return found


def _read_toml(text: str, source: str) -> Written:
    try:
        return Written(tomllib.loads(text))
    except RecursionError:
        raise UnreadableFileError("the file is nested too deep.", where=source) from None
    except ValueError as error:
        reason, _, place = str(error).partition(" (at line ")
        line = place.partition(",")[0]
        where = f"{source}:{line}" if line.isdecimal() else source
        raise UnreadableFileError(f"the file is not TOML: {reason}.", where=where) from None


def _int(text: str) -> int:
    # Python writes no number of several thousand digits, so no message could show it.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _float(text: str) -> float:
    found = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(found) and "inf" not in text.lower():
        raise ValueError("it is larger than a number can be")
    return found


def _text(text: str) -> str:
    # Half of a pair: no program that reads UTF-8 could take it.
    if not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text):
        raise ValueError("it is not text: half of a character is missing")
    return text


def out_of_bounds(value: Any) -> str | None:
    """Return why a nested value that was made in Python could not be written in a file; None if it could.

    Args:
        value: Dicts and lists; other objects in them are not looked into.
    """
    try:
        return _out_of_bounds(value, 0)
    except RecursionError:  # of the caller, which is deep itself
        return _TOO_DEEP


_MOST_BITS = MAX_DIGITS * 10 // 3
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"


def _out_of_bounds(value: Any, depth: int) -> str | None:
    if isinstance(value, int):
        # More bits than so many digits have.
        return (
            f"a number has at most {MAX_DIGITS} digits" if value.bit_length() > MAX_DIGITS * 10 // 3 else None
        )
    if not isinstance(value, Mapping | list | tuple):
        return None
    if depth > MAX_DEPTH:
        return _TOO_DEEP
    parts = (part for item in value.items() for part in item) if isinstance(value, Mapping) else iter(value)
    return next((why for part in parts if (why := _out_of_bounds(part, depth + 1))), None)


class _Reader:
    """Notes the place of every part, and keeps to the bounds."""

    def __init__(self, source: str, what: str, floats: Callable[[str], Any], most: int = MAX_NODES) -> None:
        self.source = source
        self.what = what
        self.floats = floats
        self.places: dict[Loc, Place] = {}
        self.problems: list[tuple[Place, Problem]] = []
        self.digits: dict[Loc, str] = {}
        self._nodes = 0
        self._most = most

    def read(self, text: str) -> Any:
        """Return the data of a text."""
        raise NotImplementedError

    def too_deep(self, where: str) -> NoReturn:
        """Refuse the file."""
        message = f"the file is nested more than {MAX_DEPTH} levels deep."
        raise UnreadableFileError(message, where=where) from None

    def begin(self, loc: Loc, line: int) -> None:
        """Take note of a part."""
        self._nodes += 1
        # Anchors are allowed in YAML, so a small file can stand for a large or an endless document.
        if self._nodes > self._most:
            message = f"the {self.what} has more than {self._most} parts."
            raise UnreadableFileError(message, where=f"{self.source}:{line}")
        if len(loc) > MAX_DEPTH:
            self.too_deep(f"{self.source}:{line}")
        self.places.setdefault(loc, Place(len(self.places), line))

    def scalar(self, read: Callable[[str], Any], text: str, line: int) -> Any:
        """Return what a text means, or note why it means nothing."""
        try:
            return read(text)
        except ValueError as error:
            shown = "this text" if read is _text else f"{text[:40]!r}"  # a text may be a secret
            self.problem(line, f"{shown} cannot be read: {error}.", None)
            return None

    def number(self, loc: Loc, text: str, line: int) -> Any:
        """Return what the text of a number with a point or an exponent means; take note of lost digits."""
        found = self.scalar(self.floats, text, line)
        may_differ = isinstance(found, float) and len(text) > _EXACT and math.isfinite(found)
        if may_differ and Decimal(text) != Decimal(repr(found)):
            self.digits[loc] = text
        return found

    def key(self, loc: Loc, key: Any, line: int, lines: dict[Any, int]) -> bool:
        """Take note of a key of a map, and tell whether it is a new one."""
        if key in lines:
            self.problem(line, f"the key {key!r} is already on line {lines[key]}.", "Keep one of the two.")
            return False
        lines[key] = line
        self.places[(*loc, key)] = Place(len(self.places), line)
        return True

    def problem(self, line: int, message: str, remedy: str | None) -> None:
        """Add something that is wrong."""
        place = Place(len(self.places), line)
        self.problems.append((place, Problem(message, f"{self.source}:{line}", remedy)))


# YAML ---------------------------------------------------------------------------------------------


class _CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core schema instead of YAML 1.1, where `on` is a bool and `1e-6` is text."""


_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_TAG = "tag:yaml.org,2002:"
CORE_RESOLVERS = (
    (_TAG + "null", _NULL, ["~", "n", "N", ""]),
    (_TAG + "bool", _BOOL, list("tTfF")),
    (_TAG + "int", _INT, list("-+0123456789")),
    (_TAG + "float", _FLOAT, list("-+.0123456789")),
)
"""What a plain scalar means, as PyYAML takes it: tag, form, and the characters that it begins with."""
_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in CORE_RESOLVERS:
    _CoreLoader.add_implicit_resolver(_tag, _pattern, _first)

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _TAG + "str": _text,
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": _int,
}


class _YAMLReader(_Reader):
    def read(self, text: str) -> Any:
        try:
            root = yaml.compose(text, Loader=_CoreLoader)
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            reason = str(error).splitlines()[0]
            raise UnreadableFileError(f"the file is not YAML: {reason}.", where=self.source) from None
        return None if root is None else self._value((), root)

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> UnreadableFileError:
        mark = error.problem_mark or error.context_mark
        where = f"{self.source}:{mark.line + 1}" if mark else self.source
        reason = ", ".join(part for part in (error.problem, error.context) if part)
        if "'\\t'" in reason:
            message, remedy = "the line is indented with a tab.", "Indent with spaces."
        else:
            message = f"the file is not YAML: {reason}."
            remedy = "Check the indentation, the colons and the quotes around this line."
        return UnreadableFileError(message, where=where, remedy=remedy)

    def _value(self, loc: Loc, node: yaml.Node) -> Any:
        self.begin(loc, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(loc, node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value((*loc, index), item) for index, item in enumerate(node.value)]
        if node.tag == _TAG + "float" and isinstance(node, yaml.ScalarNode):
            return self.number(loc, node.value, _line(node))
        return self._scalar(node)

    def _mapping(self, loc: Loc, node: yaml.MappingNode) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node)
            if self.key(loc, key, _line(key_node), lines):
                found[key] = self._value((*loc, key), value_node)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        read = self.floats if node.tag == _TAG + "float" else _SCALARS.get(node.tag)
        if read is None or not isinstance(node, yaml.ScalarNode):
            message = f"{node.tag.replace(_TAG, '!!')} is not allowed here."
            remedy = (
                f"A {self.what} holds text, numbers, lists and maps, without tags; a key is text or a number."
            )
            self.problem(_line(node), message, remedy)
            return None
        return self.scalar(read, node.value, _line(node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


# JSON ---------------------------------------------------------------------------------------------

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
_WORDS: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


class _JSONReader(_Reader):
    """Reads JSON from left to right; the reader of Python tells no lines and takes a key twice."""

    def read(self, text: str) -> Any:
        self._text = text
        self._at = 0
        self._counted = (0, 1)
        self.empty = not text.strip(" \t\n\r")
        if self.empty:
            return None
        found = self._value(())
        if self._next():
            self._fail("more follows after its end")
        return found

    def _value(self, loc: Loc) -> Any:
        first = self._next()
        line = self._line()
        self.begin(loc, line)
        if first == "{":
            return self._object(loc)
        if first == "[":
            return self._array(loc)
        if first == '"':
            return self.scalar(_text, self._string(), line)
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._fail("a value is expected" if first else "it ends too early")
        self._at = number.end()
        if number[2]:
            return self.number(loc, number[0], line)
        return self.scalar(_int, number[0], line)

    def _object(self, loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[Any, int] = {}
        for _ in self._items("}"):
            if self._next() != '"':
                self._fail("a key in double quotes is expected")
            line = self._line()
            key = self.scalar(_text, self._string(), line)
            self._take(":")
            value_loc = (*loc, key)
            if self.key(loc, key, line, lines):
                found[key] = self._value(value_loc)
            else:
                self._value(value_loc)
        return found

    def _array(self, loc: Loc) -> list[Any]:
        return [self._value((*loc, index)) for index in self._items("]")]

    def _items(self, end: str) -> Any:
        """Yield the number of each item that begins here, up to the end."""
        self._at += 1
        if self._next() == end:
            self._at += 1
            return
        number = 0
        while True:
            yield number
            number += 1
            if self._next() == end:
                self._at += 1
                return
            self._take(",")

    def _string(self) -> str:
        try:
            found, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            self._fail(error.msg[:1].lower() + error.msg[1:])
        return str(found)

    def _next(self) -> str:
        """Go past blanks, and return the next character; empty at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, sign: str) -> None:
        if self._next() != sign:
            self._fail(f"{sign!r} is expected")
        self._at += 1

    def _line(self) -> int:
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line

    def _fail(self, why: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        message = f"the file is not JSON: {why}."
        remedy = "Check the commas, the brackets and the quotes around this line."
        raise UnreadableFileError(message, where=f"{self.source}:{line}", remedy=remedy)
