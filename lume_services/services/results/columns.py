"""Nested records as flat columns: `inputs.x`, `outputs.y`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from lume_services.services.results.query.paths import escape

Keys: TypeAlias = tuple[str, ...]


def flatten(record: Mapping[str, Any]) -> dict[Keys, Any]:
    """Return the values of a nested mapping by the keys that lead to them, in their order.

    A mapping that has other keys than text is one value; an empty one is none.
    """
    return dict(_leaves(record, ()))


def column_names(columns: Iterable[Keys]) -> dict[Keys, str]:
    r"""Return a name for each column: its keys joined by dots.

    Where two columns would have the same name, the dots inside their keys are escaped: `inputs.X\.VAL`.
    """
    distinct = list(dict.fromkeys(columns))
    names = {keys: ".".join(keys) for keys in distinct}
    uses = Counter(names.values())
    return {keys: name if uses[name] == 1 else ".".join(map(escape, keys)) for keys, name in names.items()}


def _leaves(value: Any, keys: Keys) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, key))
    elif keys:
        yield keys, value
