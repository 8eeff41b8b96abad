"""What the readers of all forms share: places, bounds, and what the text of a number means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

from lume_services.errors import Problem, UnreadableFileError

Loc = tuple[str | int, ...]
"""The way to a part: `("composing_flows", 1, "mapped_parameters", "text1")`."""

MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_DIGITS = 1000
_EXACT = 15  # a float keeps so many digits of any number


_NOT_ZERO = re.compile(r"[-+]?[0.]*[1-9]")


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


def int_of(text: str) -> int:
    """Return an integer.

    Raises:
        ValueError: It has too many digits.
    """
    # Python writes no number of several thousand digits, so no message could show it.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def float_of(text: str) -> float:
    """Return a number with a point or an exponent.

    Raises:
        ValueError: No float comes near it.
    """
    found = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(found) and "inf" not in text.lower():
        raise ValueError("it is larger than a number can be")
    if found == 0 and _NOT_ZERO.match(text):
        raise ValueError("it is smaller than a number can be")
    return found


def text_of(text: str) -> str:
    """Return text.

    Raises:
        ValueError: It is no text.
    """
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


class Reader:
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
            shown = "this text" if read is text_of else f"{text[:40]!r}"  # a text may be a secret
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
