r"""Dotted paths into documents: `outputs.image.shape`, `inputs.QUAD:LI20:X.VAL`, `outputs.scan.3.sigma_x`.

A key may itself hold dots, as the names of EPICS process variables do. So a path does not say where its keys
end: every mapping is searched for each of the keys that the rest of the path could begin with. Where a name
must be exact, `\.` is a dot inside a key and never a separator; `\\` is a backslash, and a path to a key that
begins with a dollar sign begins with `\$`.

Through lists a path goes as in MongoDB: into each mapping in the list, and by position (`scan.3`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lume_services.services.results.query.order import MISSING, member, view
from lume_services.values.codec import TYPE, TYPES

_PIECE = re.compile(r"(?:[^.\\]|\\.?)*", re.DOTALL)
_ESCAPE = re.compile(r"\\([.\\$])")


class Path:
    """A dotted path.

    Args:
        text: As a user writes it.

    Attributes:
        atoms: The pieces between the dots, without escapes.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.atoms = tuple(_ESCAPE.sub(r"\1", piece) for piece in _pieces(text))

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def values(self, document: dict[str, Any], *, elements: bool) -> list[Any]:
        """Return what the path reaches, as queries see it.

        Args:
            document: Where to look.
            elements: Whether a list at the end of the path also counts as each of its elements.

        Returns:
            The parts of the document; `MISSING` for each mapping that the path enters and finds nothing in.
        """
        found: list[Any] = []
        _in_mapping(document, self.atoms, elements, found)
        return found


def escape(key: str) -> str:
    """Return the piece of a path that stands for exactly this key."""
    return re.sub(r"([.\\$])", r"\\\1", key)


def project(document: dict[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """Return a document with only what lies at the paths, in its place."""
    return _project_mapping(document, [path.atoms for path in paths])


def _pieces(text: str) -> Iterator[str]:
    position = 0
    while True:
        piece = _PIECE.match(text, position)
        assert piece is not None  # noqa: S101 - the pattern matches the empty text
        yield piece.group()
        position = piece.end() + 1
        if position > len(text):
            return


def splits(rest: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each key that the rest of a path may begin with, and what then is left of the path."""
    key = rest[0]
    yield key, rest[1:]
    for end in range(1, len(rest)):
        key = f"{key}.{rest[end]}"
        yield key, rest[end + 1 :]


def _reach(node: Any, rest: tuple[str, ...], elements: bool, found: list[Any]) -> None:
    """Follow a path from a part that is seen as queries see it."""
    if not rest:
        if elements and type(node) is list:
            found.extend(view(item) for item in node)
        found.append(node)
    elif type(node) is dict:
        _in_mapping(node, rest, elements, found)
    elif type(node) is list:
        _in_list(node, rest, elements, found)
    else:
        found.append(MISSING)


def _in_mapping(node: dict[str, Any], rest: tuple[str, ...], elements: bool, found: list[Any]) -> None:
    ways: list[list[Any]] = []
    for key, further in splits(rest):
        if key in node:
            ways.append([])
            _reach(member(node, key), further, elements, ways[-1])
    if not ways:
        found.append(MISSING)
    elif len(ways) == 1:
        found.extend(ways[0])
    else:
        # "a.b" may be the key "a.b" or "b" in "a": where one of them is there, the other is not missed.
        there = [way for way in ways if any(value is not MISSING for value in way)]
        for way in there or ways[:1]:
            found.extend(way)


def _in_list(items: list[Any], rest: tuple[str, ...], elements: bool, found: list[Any]) -> None:
    for index, raw in enumerate(items):
        item = view(raw)
        if type(item) is dict:
            _in_mapping(item, rest, elements, found)
        if rest[0] != str(index):
            continue
        if len(rest) == 1:
            found.append(item)
        elif type(item) is dict:
            _in_mapping(item, rest[1:], elements, found)
        elif type(item) is list:
            _in_list(item, rest[1:], elements, found)


def _project_mapping(node: dict[str, Any], rests: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in node.items():
        further = [after for rest in rests for start, after in splits(rest) if start == key]
        if () in further:
            kept[key] = item
        elif further and (part := _project(item, further)) is not MISSING:
            kept[key] = part
    # A part of a value with a kind is not of that kind any more.
    kept.pop(TYPE, None)
    types = {key: kind for key, kind in node.get(TYPES, {}).items() if key in kept}
    return {**kept, TYPES: types} if types else kept


def _project(node: Any, rests: Sequence[tuple[str, ...]]) -> Any:
    node = view(node)
    if type(node) is dict:
        return _project_mapping(node, rests)
    if type(node) is list:
        parts = (_project(item, rests) for item in node)
        return [part for part in parts if part is not MISSING]
    return MISSING
