"""A spec as it was written: plain data, and where each part of it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lume_services.errors import Problem, SpecError, UnreadableFileError
from lume_services.values.regular import read_text
from lume_services.values.written import Loc, Place, out_of_bounds, read_written

# composing_flows[0].mapped_parameters.x is as deep as places go in a dict: below, a constant may be huge.
_PLACED_DEPTH = 4


@dataclass(frozen=True)
class Document:
    """A spec as plain data.

    Attributes:
        data: What was written: dicts, lists, text, numbers, bool, None.
        source: The file's path as it was given, or None for a dict.
        places: The place of every part that can have a problem.
        problems: What is wrong with the YAML itself, as a key written twice.
        digits: The text of numbers that have more digits than a float keeps.
    """

    data: Any
    source: str | None
    places: Mapping[Loc, Place]
    problems: Sequence[tuple[Place, Problem]] = ()
    digits: Mapping[Loc, str] = field(default_factory=dict)

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
        written = self.data["composing_flows"]
        step = written[index] if isinstance(written, list | tuple) else None
        name: Any = (step.get("alias") or step.get("name")) if isinstance(step, Mapping) else None
        return str(name or index + 1)

    def step_names(self) -> Sequence[str]:
        """Return the names of all steps, also of those whose form is wrong."""
        written = self.data.get("composing_flows") if isinstance(self.data, Mapping) else None
        count = len(written) if isinstance(written, list | tuple) else 0
        return [self.step_name(index) for index in range(count)]


def read_document(source: str | Path | Mapping[str, Any]) -> Document:
    """Read a spec from a file, or take it as a dict.

    Args:
        source: The path of a file in YAML 1.2, or, where its name ends so, in JSON; or the spec as a dict.

    Raises:
        SpecError: The file cannot be read, or is not one document.
    """
    if isinstance(source, Mapping):
        data = dict(source)
        if why := out_of_bounds(data):
            raise _refusal(None, f"{why}.", None)
        return Document(data, None, dict(_places_of(data)))
    path = str(source)
    try:
        written = read_written(read_text(source, what="spec"), path, what="spec")
    except UnreadableFileError as error:
        remedy = error.remedy
        if error.message.startswith("the spec cannot be read"):
            remedy = "Give the path of a YAML file."
        raise _refusal(error.where, error.message, remedy) from error
    if written.data is None:
        raise _refusal(path, "the file is empty.", "Write a name and composing_flows.")
    return Document(written.data, path, written.places, written.problems, written.digits)


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


def _refusal(where: str | None, message: str, remedy: str | None) -> SpecError:
    return SpecError("the spec cannot be used", [Problem(message, where, remedy)])
