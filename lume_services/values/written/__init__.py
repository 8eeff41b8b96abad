"""Files that people write, read as they are written: YAML, JSON and TOML, with the line of every part.

YAML is 1.2 with the core schema: `1e-6` is a number, `0777` is 777; `on`, `190:20:30` and `2024-01-31` are
text. Tags are refused, and so is a key that is written twice. In JSON there are also `NaN`, `Infinity` and
`-Infinity`, as Python's `json.dump` writes them. Nothing is ever built from a file but plain data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

from lume_services.errors import UnreadableFileError
from lume_services.values.written.json import JSONReader
from lume_services.values.written.reader import (
    MAX_NODES,
    Loc,
    Place,
    Reader,
    Written,
    float_of,
    out_of_bounds,
)
from lume_services.values.written.yaml import CORE_RESOLVERS, YAMLReader

__all__ = [
    "CORE_RESOLVERS",
    "Loc",
    "Place",
    "Written",
    "meaning",
    "out_of_bounds",
    "read_json",
    "read_written",
]


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
    reader: Reader = (JSONReader if ending == "json" else YAMLReader)(source, what, floats or float_of, most)
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
    reader = JSONReader("JSON", "text", float_of)
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
