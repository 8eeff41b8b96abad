"""Nested records as flat columns: `inputs.x`, `outputs.y`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lume_services.services.results.query.paths import escape
from lume_services.values.document import INT64

if TYPE_CHECKING:
    import pandas as pd

Keys: TypeAlias = tuple[str, ...]
MISSING: Any = object()
"""Stands for a value that a record does not have."""


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


def column_of(values: Sequence[Any]) -> pd.Series:
    """Return values as a column of a table, in which no number is rounded.

    Integers and booleans are of a nullable dtype where one is missing. Integers of more than 64 bits, those
    beside floats which no float is equal to, and long doubles stay objects.

    Args:
        values: The values. `MISSING` stands for one that is not there: NaN, or, as None, `<NA>` in a column
            of integers or booleans.
    """
    import pandas as pd

    present = [value for value in values if value is not MISSING and value is not None]
    kinds = {_kind(value) for value in present}
    dtype = None
    if kinds == {bool}:
        dtype = "bool" if len(present) == len(values) else "boolean"
    elif kinds == {int}:
        dtype = _integer_dtype(present, missing=len(present) < len(values))
    elif object in kinds or (kinds <= {int, float, complex} and not all(map(_is_float, present))):
        dtype = "object"
    if dtype is None or dtype == "object":
        return pd.Series([math.nan if value is MISSING else value for value in values], dtype=dtype)
    return pd.Series([None if value is MISSING else value for value in values], dtype=dtype)


def _kind(value: Any) -> type:
    """Return the class of a value; of a NumPy scalar that of the Python number, object if there is none."""
    import numpy as np

    if isinstance(value, np.longdouble | np.clongdouble):
        return object
    is_number = isinstance(value, np.number | np.bool) and not isinstance(value, np.timedelta64)
    return type(value.item()) if is_number else type(value)


def _integer_dtype(integers: Sequence[Any], *, missing: bool) -> str:
    low, high = int(min(integers)), int(max(integers))
    if low in INT64 and high in INT64:
        return "Int64" if missing else "int64"
    if low >= 0 and high < 1 << 64:
        return "UInt64" if missing else "uint64"
    return "object"


def _is_float(number: Any) -> bool:
    if _kind(number) is not int:
        return True
    try:
        return float(int(number)) == int(number)
    except OverflowError:
        return False


def _leaves(value: Any, keys: Keys) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, key))
    elif keys:
        yield keys, value
