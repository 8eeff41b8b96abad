"""Values for reading: plain, with arrays and tables named only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def outline(value: Any) -> Any:
    """Return a value as JSON can hold it; an array or a table becomes `<array 21x400 float64>`."""
    from lume_services.errors import EncodeError
    from lume_services.results.plain import cell, is_array, is_table, plain

    if isinstance(value, Mapping):
        return {str(key): outline(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [outline(item) for item in value]
    named = is_table(value) or (is_array(value) and value.shape)
    try:
        return cell(value) if named else plain(value)
    except EncodeError:
        return f"<{type(value).__name__}>"
