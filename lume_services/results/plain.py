"""Values as other programs read them: in JSON, in a table, in a cell of CSV."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from lume_services.services.results.query.order import view
from lume_services.values import encode
from lume_services.values.codec import TYPE, TYPES


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: numbers, text, lists, dicts; null for NaN and the infinities."""
    for types, convert in _PLAIN:
        if isinstance(value, types):
            return convert(value)
    if is_table(value):
        return {str(name): plain(column) for name, column in value.items()}
    if is_array(value):
        return plain(_elements(value))
    return _parts(encode(value))


def column_value(value: Any) -> Any:
    """Return a value for a column of a table: a scalar as it is, anything else as plain lists and dicts."""
    return value if isinstance(value, float | datetime | bytes) else plain(value)


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
    ((float,), lambda value: float(value) if math.isfinite(value) else None),
    ((datetime,), datetime.isoformat),
    ((bytes,), lambda value: base64.b64encode(value).decode("ascii")),
    ((Mapping,), lambda value: {str(key): plain(item) for key, item in value.items()}),
    ((list, tuple, set, frozenset), lambda value: [plain(item) for item in value]),
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
    return array.astype(str).tolist() if array.dtype.kind in "mM" else array.tolist()


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape))


def _parts(document: Any) -> Any:
    seen = view(document)
    if isinstance(seen, dict):
        return {key: _parts(part) for key, part in seen.items() if key not in (TYPE, TYPES)}
    return [_parts(part) for part in seen] if isinstance(seen, list) else plain(seen)
