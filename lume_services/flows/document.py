"""A spec as it was written: plain data, and where each part of it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lume_services.errors import Problem, SpecError

Loc = tuple[str | int, ...]
"""The way to a part: `("composing_flows", 1, "mapped_parameters", "text1")`."""

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_DIGITS = 1000
# composing_flows[0].mapped_parameters.x is as deep as places go in a dict: below, a constant may be huge.
_PLACED_DEPTH = 4


@dataclass(frozen=True)
class Place:
    """Where a part stands.

    Attributes:
        order: Its number in the order of the source.
        line: Its line, counted from 1, or None where the spec was not read from a file.
    """

    order: int
    line: int | None = None


@dataclass(frozen=True)
class Document:
    """A spec as plain data.

    Attributes:
        data: What was written: dicts, lists, text, numbers, bool, None.
        source: The file's path as it was given, or None for a dict.
        places: The place of every part that can have a problem.
        problems: What is wrong with the YAML itself, as a key written twice.
    """

    data: Any
    source: str | None
    places: Mapping[Loc, Place]
    problems: Sequence[tuple[Place, Problem]] = ()

    @property
    def folder(self) -> Path | None:
        """The folder that the spec's file stands in."""
        return Path(self.source).resolve().parent if self.source else None

    def place(self, loc: Loc) -> Place:
        """Return the place of a part, or of the nearest part around it that was written."""
        while loc not in self.places:
            loc = loc[:-1]
        return self.places[loc]

    def where(self, loc: Loc) -> str:
        """Tell a reader where a part stands: `spec.yaml:9, step 'fit', parameter 'sizes'`."""
        line = self.place(loc).line
        parts = [] if line is None else [f"{self.source}:{line}"]
        match loc:
            case ("composing_flows", int(index), "mapped_parameters" | "parameters", parameter, *_):
                parts += [f"step {self.step_name(index)!r}", f"parameter {parameter!r}"]
            case ("composing_flows", int(index), *_):
                parts += [f"step {self.step_name(index)!r}"]
        return ", ".join(parts) or "the spec"

    def step_name(self, index: int) -> str:
        """Return the name of a step as it was written, or its number where it has none."""
        step = self.data["composing_flows"][index]
        name: Any = (step.get("alias") or step.get("name")) if isinstance(step, Mapping) else None
        return str(name or index + 1)

    def step_names(self) -> Sequence[str]:
        """Return the names of all steps, also of those whose form is wrong."""
        written = self.data.get("composing_flows") if isinstance(self.data, Mapping) else None
        count = len(written) if isinstance(written, list | tuple) else 0
        return [self.step_name(index) for index in range(count)]


def read_document(source: str | Path | Mapping[str, Any]) -> Document:
    """Read a spec from a YAML file, or take it as a dict.

    A file is YAML 1.2 with the core schema: `1e-6` is a number; `on` and `yes` are text. Tags are
    refused, so nothing is ever built from a file but plain data.

    Args:
        source: The path of a YAML file, or the spec as a dict.

    Raises:
        SpecError: The file cannot be read, or is not one YAML document.
    """
    if isinstance(source, Mapping):
        data = dict(source)
        return Document(data, None, dict(_places_of(data)))
    path = str(source)
    return _Reader(path).read(_text_of(path))


def _places_of(data: Any) -> Iterator[tuple[Loc, Place]]:
    def locs(loc: Loc, value: Any) -> Iterator[Loc]:
        yield loc
        if len(loc) < _PLACED_DEPTH:
            for key, child in _parts(value):
                yield from locs((*loc, key), child)

    for order, loc in enumerate(locs((), data)):
        yield loc, Place(order)


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _text_of(path: str) -> str:
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(
            path, f"the spec cannot be read: {reason}.", "Give the path of a YAML file."
        ) from error
    if len(content) > MAX_BYTES:
        raise _refusal(path, f"the file has {len(content)} bytes; a spec has at most {MAX_BYTES}.", None)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refusal(f"{path}:{line}", "the file is not UTF-8 text.", "Save it as UTF-8.") from error


def _refusal(where: str, message: str, remedy: str | None) -> SpecError:
    return SpecError("the spec cannot be used", [Problem(message, where, remedy)])


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
_CoreLoader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, _pattern, _first)


def _int(text: str) -> int:
    # Python writes no number of several thousand digits, so no message could show it.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _TAG + "str": str,
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": _int,
    _TAG + "float": _float,
}


class _Reader:
    """Turns YAML text into plain data, and notes the line of every part."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.places: dict[Loc, Place] = {}
        self.problems: list[tuple[Place, Problem]] = []
        self.nodes = 0

    def read(self, text: str) -> Document:
        try:
            root = yaml.compose(text, Loader=_CoreLoader)
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from error
        except yaml.YAMLError as error:
            raise _refusal(
                self.source, f"the file is not YAML: {str(error).splitlines()[0]}.", None
            ) from error
        except RecursionError as error:
            raise self._too_deep(self.source) from error
        if root is None:
            remedy = "Write a name and composing_flows."
            raise _refusal(self.source, "the file is empty.", remedy)
        data = self._value((), root)
        return Document(data, self.source, self.places, self.problems)

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> SpecError:
        mark = error.problem_mark or error.context_mark
        where = f"{self.source}:{mark.line + 1}" if mark else self.source
        reason = ", ".join(part for part in (error.problem, error.context) if part)
        if "'\\t'" in reason:
            return _refusal(where, "the line is indented with a tab.", "Indent with spaces.")
        remedy = "Check the indentation, the colons and the quotes around this line."
        return _refusal(where, f"the file is not YAML: {reason}.", remedy)

    def _too_deep(self, where: str) -> SpecError:
        return _refusal(where, f"the file is nested more than {MAX_DEPTH} levels deep.", None)

    def _where(self, node: yaml.Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}"

    def _value(self, loc: Loc, node: yaml.Node) -> Any:
        self.nodes += 1
        # Anchors are allowed, so a small file can stand for a large or an endless document.
        if self.nodes > MAX_NODES:
            raise _refusal(self._where(node), f"the spec has more than {MAX_NODES} parts.", None)
        if len(loc) > MAX_DEPTH:
            raise self._too_deep(self._where(node))
        self.places.setdefault(loc, Place(len(self.places), node.start_mark.line + 1))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(loc, node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value((*loc, index), item) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, loc: Loc, node: yaml.MappingNode) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node)
            if key in found:
                message = f"the key {key!r} is already on line {lines[key]}."
                self._problem(key_node, message, "Keep one of the two.")
                continue
            lines[key] = key_node.start_mark.line + 1
            self.places[(*loc, key)] = Place(len(self.places), lines[key])
            found[key] = self._value((*loc, key), value_node)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        read = _SCALARS.get(node.tag)
        if read is None or not isinstance(node, yaml.ScalarNode):
            message = f"{node.tag.replace(_TAG, '!!')} is not allowed here."
            remedy = "A spec holds text, numbers, lists and maps, without tags; a key is text or a number."
            self._problem(node, message, remedy)
            return None
        try:
            return read(node.value)
        except ValueError as error:
            self._problem(node, f"{node.value[:40]!r} cannot be read: {error}.", None)
            return None

    def _problem(self, node: yaml.Node, message: str, remedy: str | None) -> None:
        place = Place(len(self.places), node.start_mark.line + 1)
        self.problems.append((place, Problem(message, self._where(node), remedy)))
