"""Values as other programs read them: in JSON, in a table, in a cell of CSV."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from lume_services.services.results.query.order import Moment, view
from lume_services.values import encode
from lume_services.values.codec import TYPE, TYPES


def plain(value: Any, *, finite: bool = True) -> Any:
    """Return a value as numbers, text, lists and dicts.

    What no float holds exactly, as a long double, becomes text. Names that would be the same as text are
    kept apart: then a dict or a table is a list of pairs.

    Args:
        value: Any value that can be stored.
        finite: Null stands for NaN and the infinities, as in JSON.
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) or not finite else None
    for types, convert in _PLAIN:
        if isinstance(value, types):
            return convert(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, finite=finite) for item in value]
    if isinstance(value, Mapping) or is_table(value):
        pairs = [(str(name), plain(item, finite=finite)) for name, item in value.items()]
        named = dict(pairs)
        return named if len(named) == len(pairs) else [list(pair) for pair in pairs]
    if is_array(value):
        return plain(_elements(value), finite=finite)
    return _parts(encode(value), finite=finite)


def column_value(value: Any) -> Any:
    """Return a value for a column of a table: a scalar as it is, anything else as plain lists and dicts."""
    if isinstance(value, datetime):
        return plain(value) if getattr(value, "nanosecond", 0) else value  # Arrow would drop nanoseconds
    return value if isinstance(value, float | bytes) else plain(value, finite=False)


def cell(value: Any) -> str:
    """Return a value as the text of one cell. An array or a table is only named."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if is_table(value):
        return f"<table {_shape(value)}>"
    if is_array(value) and value.shape:
        return f"<array {_shape(value)} {value.dtype}>"
    if isinstance(value, float):
        return repr(float(value))
    found = plain(value)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def loaded(value: Any) -> Any:
    """Return a nested value with the stored arrays in it read."""
    if isinstance(value, dict):
        return {key: loaded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(loaded(item) for item in value)
    return _array(value) if is_array(value) else value


_PLAIN: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((type(None), bool, int, str), lambda value: value),
    ((datetime,), lambda value: value.isoformat()),
    ((bytes,), lambda value: base64.b64encode(value).decode("ascii")),
)


def is_table(value: Any) -> bool:
    """Tell whether a value is a DataFrame."""
    return hasattr(value, "columns") and hasattr(value, "dtypes")


def is_array(value: Any) -> bool:
    """Tell whether a value is an array, read or not, a NumPy scalar, or a column of a table."""
    return hasattr(value, "__array__") and hasattr(value, "dtype")


def _array(value: Any) -> Any:
    import numpy as np

    return np.asarray(value) if hasattr(value, "loaded") else value


def _elements(value: Any) -> Any:
    import numpy as np

    array = np.asarray(value)
    as_text = array.dtype.kind in "mM" or array.dtype.char in "gG"  # the long doubles
    return array.astype(str).tolist() if as_text else array.tolist()


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape))


def _parts(document: Any, *, finite: bool) -> Any:
    seen = view(document)
    if isinstance(seen, dict):
        parts = {key: part for key, part in seen.items() if key not in (TYPE, TYPES)}
        return {key: _parts(part, finite=finite) for key, part in parts.items()}
    if isinstance(seen, Moment | Fraction):
        return str(seen)
    if isinstance(seen, list):
        return [_parts(part, finite=finite) for part in seen]
    return plain(seen, finite=finite)
