"""Tell whether values of one type can never be values for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lume_services.flows.checks.annotations import alternatives, class_of, entry, fields, item, positions
from lume_services.flows.checks.lax import fields_to_fill, never_taken

Pair = tuple[Any, Any, str]
"""The type of a part, the type that it must be, and which part it is."""


@dataclass(frozen=True)
class Misfit:
    """Two types of which the one never fits the other.

    Attributes:
        given: The type of a value.
        wanted: The type that it must be.
        path: The part of the whole value that this is about, as `("each item", "field 'x'")`.
    """

    given: Any
    wanted: Any
    path: tuple[str, ...] = ()


def misfit(given: Any, wanted: Any) -> Misfit | None:
    """Return why no value of the type `given` is a value for the type `wanted`; None if one may be.

    The rules are those of pydantic's lax mode. Only certain misfits count: `float` for `int` may fit (2.0),
    `int` for `str` never does. What is not annotated, and what this cannot judge, may fit. An empty
    container fits whatever it is annotated to hold; that is not counted.
    """
    return _Comparison().compare(given, wanted)


class _Comparison:
    def __init__(self) -> None:
        # What is being compared, further out: types may contain themselves.
        self.outer: list[tuple[Any, Any]] = []

    def compare(self, given: Any, wanted: Any, part: str = "") -> Misfit | None:
        if any(given is one and wanted is other for one, other in self.outer):
            return None
        self.outer.append((given, wanted))
        found = self.every(list(alternatives(given)), list(alternatives(wanted, validated=True)))
        self.outer.pop()
        if found is None:
            return None
        innermost = found if found.path else Misfit(given, wanted)
        return replace(innermost, path=(part, *innermost.path)) if part else innermost

    def every(self, given: Sequence[Any], wanted: Sequence[Any]) -> Misfit | None:
        """Return a misfit if no alternative fits another one."""
        found = None
        for one in given:
            for other in wanted:
                found = self.plain(one, other)
                if found is None:
                    return None
        # Where there are several alternatives, the part where one of them fails explains nothing.
        return found if found is None or len(given) == len(wanted) == 1 else replace(found, path=())

    def plain(self, given: Any, wanted: Any) -> Misfit | None:
        if given is Any or wanted is Any:
            return None
        if never_taken(given, wanted):
            return Misfit(given, wanted)
        kind, wanted_kind = class_of(given), class_of(wanted)
        if kind is None or wanted_kind is None or kind is wanted_kind is type:
            return None
        if issubclass(kind, Mapping):
            return self.first(_in_map(given, wanted))
        return self.in_collection(given, wanted)

    def in_collection(self, given: Any, wanted: Any) -> Misfit | None:
        given_at, wanted_at = positions(given), positions(wanted)
        if given_at is None and wanted_at is None:
            return self.compare(item(given), item(wanted), "each item")
        if fields(class_of(wanted) or object) is not None:
            return None
        count = len(given_at if given_at is not None else wanted_at or ())
        given_at = (item(given),) * count if given_at is None else given_at
        wanted_at = (item(wanted),) * count if wanted_at is None else wanted_at
        if len(given_at) != len(wanted_at):
            return Misfit(given, wanted)
        names = [f"item {number}" for number in range(count)]
        return self.first(list(zip(given_at, wanted_at, names, strict=True)))

    def first(self, pairs: Sequence[Pair]) -> Misfit | None:
        found = (self.compare(*pair) for pair in pairs)
        return next((one for one in found if one is not None), None)


def _in_map(given: Any, wanted: Any) -> list[Pair]:
    given_fields, wanted_fields = fields(class_of(given) or object), fields_to_fill(class_of(wanted))
    (given_key, given_value), (key, value) = entry(given), entry(wanted)
    if given_fields is not None:
        targets = {name: field.annotation for name, field in wanted_fields.items()}
        sure = {name: field.annotation for name, field in given_fields.items() if field.required}
        return [(annotation, targets.get(name, value), _field(name)) for name, annotation in sure.items()]
    needed = {name: field for name, field in wanted_fields.items() if field.required}
    return [
        (given_key, key, "each key"),
        (given_value, value, "each value"),
        *((given_value, field.annotation, _field(name)) for name, field in needed.items()),
    ]


def _field(name: str) -> str:
    return f"field {name!r}"
