"""The axes of a scan as they are written: `track.k1=-10:10:41`, `beam.charge=@charges.csv`, `@points.csv`."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, TypeAlias

import yaml

from lume_services.errors import Problem, SpecError, UnreadableFileError
from lume_services.values.regular import read_text
from lume_services.values.written import meaning, out_of_bounds

MAX_POINTS = 100_000
_MOST_BYTES = 100_000_000
SUMMARY = "the scan cannot start"

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\s*:\s*({_NUMBER})((?:\s*:.*)?)")
_AS = "Write a range as -10:10:41, a list as 1,2,3, the column of a file as @charges.csv."

Over: TypeAlias = Mapping[str, str | Sequence[Any]] | Sequence[str]
"""The axes of a scan: by parameter, text or the values themselves; or texts as on the command line."""


class Written(str):
    """A value as text; what it means depends on the type of its parameter."""

    __slots__ = ()


@dataclass(frozen=True)
class Values:
    """An axis with one value after the other, of one parameter or of several together.

    Attributes:
        keys: The parameters, as `track.k1`.
        rows: One value for each of them.
        source: What the axis is called in errors.
        lines: Where each row stands, if the rows were read from a file.
    """

    keys: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    source: str
    lines: Sequence[int] = ()

    def where(self, row: int) -> str:
        """Return where a row stands, for errors."""
        return f"{self.source}:{self.lines[row]}" if self.lines else self.source


@dataclass(frozen=True)
class Span:
    """An axis from which samples are drawn.

    Attributes:
        keys: The parameter.
        low: The least value.
        high: The greatest.
        source: What the axis is called in errors.
        log: Whether the logarithm is distributed uniformly.
        whole: Whether only whole numbers are drawn.
    """

    keys: tuple[str, ...]
    low: float
    high: float
    source: str
    log: bool = False
    whole: bool = False

    def at(self, part: float) -> float:
        """Return the value at a part, 0 to 1, of the way from the least to the greatest."""
        if self.whole:
            return math.floor(self.low + part * (self.high - self.low + 1))
        if self.log:
            return float(self.low * (self.high / self.low) ** part)
        return self.low + part * (self.high - self.low)


Axis: TypeAlias = Values | Span


def read_axes(over: Over) -> list[Axis]:
    """Read the axes of a scan. What they mean for the types of the parameters is not looked at.

    Args:
        over: By parameter, the text of an axis or its values; or texts with the parameter, as for `--over`.

    Raises:
        SpecError: All that is wrong, in one report.
    """
    problems: list[Problem] = []
    axes: list[Axis] = []
    for key, given in _entries(over):
        try:
            axes.append(_axis(key, given))
        except _NoAxisError as error:
            problems.append(error.problem)
    if not axes and not problems:
        problems.append(Problem("there is nothing to scan over.", "--over", "As --over track.k1=-10:10:41."))
    if problems:
        raise SpecError(SUMMARY, problems)
    return axes


class _NoAxisError(Exception):
    def __init__(self, message: str, where: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(message, where, remedy)


def _entries(over: Over) -> Iterator[tuple[str, Any]]:
    if isinstance(over, Mapping):
        yield from over.items()
        return
    for text in [over] if isinstance(over, str) else over:
        key, equals, values = text.partition("=")
        yield ("", text) if text.startswith("@") or not equals else (key.strip(), values)


def _axis(key: str, given: Any) -> Axis:
    source = f"--over {key}" if key else f"--over {given}" if isinstance(given, str) else "over"
    if why := out_of_bounds(given):
        raise _NoAxisError(f"{why}.", source)
    if key and "." not in key.strip("."):
        raise _NoAxisError(f"{key!r} is not STEP.PARAMETER.", source, "As track.k1=-10:10:41.")
    if not isinstance(given, str):
        return _filled(Values((key,), [(value,) for value in given], source))
    text = given.strip()
    if text.startswith("@"):
        return _filled(_from_csv(text[1:], key))
    if not key:
        raise _NoAxisError(f"{text!r} is not STEP.PARAMETER=VALUES.", "--over", _AS)
    if found := _RANGE.fullmatch(text):
        return _range(key, source, *found.groups())
    return _filled(Values((key,), [(value,) for value in _listed(text, source)], source))


def _filled(axis: Values) -> Values:
    if not axis.rows:
        raise _NoAxisError("the axis has no values.", axis.source, _AS)
    _check_count(len(axis.rows), axis.source)
    return axis


def _check_count(count: int, source: str) -> None:
    if count > MAX_POINTS:
        raise _NoAxisError(f"the axis has {count} values; a scan has at most {MAX_POINTS} points.", source)


def _range(key: str, source: str, low_text: str, high_text: str, rest: str) -> Axis:
    low, high = float(low_text), float(high_text)
    options = [part.strip() for part in rest.split(":")[1:]]
    log = options[-1:] == ["log"]
    options = options[:-1] if log else options
    if not math.isfinite(high - low):
        raise _NoAxisError(f"{low_text} to {high_text} is more than a number can be.", source)
    if log and not (low * high > 0):
        raise _NoAxisError(f"{low_text} to {high_text} has no logarithm.", source, "Leave :log out.")
    if not options:
        if low > high:
            raise _NoAxisError(f"{low_text} is greater than {high_text}.", source, "Write the least first.")
        return Span((key,), low, high, source, log)
    if len(options) > 1 or not re.fullmatch(r"\d{1,9}", options[0]):
        message = f"{':'.join(options)!r} is not a number of values."
        raise _NoAxisError(message, source, "Write LOW:HIGH:NUMBER, or LOW:HIGH:NUMBER:log.")
    count = int(options[0])
    _check_count(count, source)
    return _filled(Values((key,), [(value,) for value in _spaced(low, high, count, log)], source))


def _spaced(low: float, high: float, count: int, log: bool) -> list[float]:
    """Return evenly spaced values, both ends among them."""
    if count < 2:  # noqa: PLR2004 - a single value has no step
        return [low] * count
    steps = count - 1
    if log:
        inner = [low * (high / low) ** (step / steps) for step in range(1, steps)]
    else:
        inner = [low + (high - low) * step / steps for step in range(1, steps)]
    return [low, *inner, high]


def _listed(text: str, source: str) -> list[Any]:
    if not text.startswith("["):
        return [Written(part.strip()) for part in text.split(",")] if text else []
    try:
        # Without types: what a text means depends on the parameter, and `1e-6` is a number.
        found = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but text
    except (yaml.YAMLError, RecursionError) as error:
        raise _NoAxisError(f"not a list: {str(error).splitlines()[0]}.", source, "As [1, 2, 3].") from error
    return [Written(item) if isinstance(item, str) else _guessed(item) for item in found]


def guess(text: str, *, floats: Callable[[str], Any] | None = None) -> Any:
    """Return what a text means where its parameter has no type: JSON, or itself.

    Args:
        text: The text.
        floats: What to make of a number with a point or an exponent; default: a float.
    """
    try:
        return meaning(str(text), floats=floats)
    except ValueError:
        return str(text)


def _guessed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _guessed(item) for key, item in value.items()}
    return [_guessed(item) for item in value] if isinstance(value, list) else guess(value)


def _from_csv(name: str, key: str) -> Values:
    rows, lines = _read_csv(name)
    if not rows:
        raise _NoAxisError("the file is empty.", name, "Write a value on each line.")
    names = [cell.strip() for cell in rows[0]]
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            message = f"the line has {len(row)} values, and the first one {len(names)}."
            raise _NoAxisError(message, f"{name}:{line}")
    if not key:
        if bad := [column for column in names if "." not in column.strip(".")]:
            message = f"the column {bad[0]!r} is not STEP.PARAMETER."
            remedy = "The first line names the columns, as track.k1,beam.charge."
            raise _NoAxisError(message, f"{name}:{lines[0]}", remedy)
        return Values(tuple(names), [tuple(map(Written, row)) for row in rows[1:]], name, lines[1:])
    own_names = (key, key.rpartition(".")[2])
    column = next((number for number, column in enumerate(names) if column in own_names), None)
    if column is None and len(names) > 1:
        message = f"there is no column {own_names[1]!r}."
        remedy = f"The first line names: {', '.join(names)}."
        raise _NoAxisError(message, f"{name}:{lines[0]}", remedy)
    first = 0 if column is None else 1
    cells = [(Written(row[column or 0].strip()),) for row in rows[first:]]
    return Values((key,), cells, name, lines[first:])


def _read_csv(name: str) -> tuple[list[list[str]], list[int]]:
    """Return the lines that are not empty, and their numbers."""
    rows, lines = [], []
    try:
        text = read_text(name, what="file", most=_MOST_BYTES)
        reader = csv.reader(StringIO(text, newline=""), strict=True)
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
                _check_count(len(rows) - 1, name)
    except UnreadableFileError as error:
        raise _NoAxisError(error.message, error.where or name, error.remedy or "Give a CSV file.") from error
    except csv.Error as error:
        raise _NoAxisError(f"the file cannot be read: {error}.", name, "Give a CSV file.") from error
    return rows, lines
