"""What is different between two values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from lume_services.errors import EncodeError
from lume_services.values.hashing import fingerprint

_SHOWN = 60


def differences(
    before: Any, after: Any, *, rtol: float = 0.0, atol: float = 0.0, where: str = "value"
) -> Iterator[str]:
    """Yield what is different between two nested values, each with its path.

    Numbers are the same if `|before - after| <= atol + rtol * |before|`; NaN is the same as NaN.

    Args:
        before: A value that the codec can store.
        after: The other one.
        rtol: Relative tolerance of numbers.
        atol: Absolute tolerance of numbers.
        where: What the value is called.
    """
    tolerance = {"rtol": rtol, "atol": atol}
    if _is_number(before) and _is_number(after):
        if not _close(before, after, rtol, atol):
            yield f"{where}: {before!r} is {after!r} now"
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_mappings(before, after, where, tolerance)
    elif isinstance(before, list | tuple) and type(before) is type(after) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, where=f"{where}[{number}]", **tolerance)
    elif hasattr(before, "columns") and hasattr(after, "columns"):
        columns = [_columns(table) for table in (before, after)]
        yield from differences(*columns, where=where, **tolerance)
    elif _is_array(before) and _is_array(after):
        yield from _of_arrays(before, after, rtol, atol, where)
    elif _has_columns(before) and _has_columns(after):
        yield from differences(before.data, after.data, where=where, **tolerance)
    elif not _same(before, after):
        yield f"{where}: {_shown(before)} is {_shown(after)} now"


def _columns(table: Any) -> dict[Any, Any]:
    """Return the columns of a table by name, of those with the same name by name and number."""
    columns: dict[Any, Any] = {}
    for place, name in enumerate(table.columns):
        columns[(name, place) if name in columns else name] = table.iloc[:, place].to_numpy()
    return columns


def _of_mappings(
    before: Mapping[Any, Any], after: Mapping[Any, Any], where: str, tolerance: Mapping[str, float]
) -> Iterator[str]:
    for key in [*before, *(key for key in after if key not in before)]:
        place = f"{where}[{key!r}]"
        if key not in after:
            yield f"{place} is gone"
        elif key not in before:
            yield f"{place} is new"
        else:
            yield from differences(before[key], after[key], where=place, **tolerance)


def _of_arrays(before: Any, after: Any, rtol: float, atol: float, where: str) -> Iterator[str]:
    import numpy as np

    old, new = np.asarray(before), np.asarray(after)
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        yield f"{where}: {_array_name(old)} is {_array_name(new)} now"
        return
    if old.dtype.kind in "fc":
        same = np.isclose(new, old, rtol=rtol, atol=atol, equal_nan=True)
    else:
        same = old == new
    if not same.all():
        count = int(same.size - np.count_nonzero(same))
        first = tuple(int(index) for index in np.argwhere(~same)[0])
        changed = f"the first at {list(first)}: {old[first]} is {new[first]} now"
        yield f"{where}: {count} of {same.size} elements differ, {changed}"


def _array_name(array: Any) -> str:
    return f"an array {'x'.join(map(str, array.shape))} {array.dtype}"


def _is_array(value: Any) -> bool:
    """Tell whether a value is an array, or an image."""
    return hasattr(value, "dtype") or hasattr(value, "__array_interface__")


def _has_columns(value: Any) -> bool:
    """Tell whether a value keeps its arrays by name, as a ParticleGroup does."""
    return isinstance(getattr(value, "data", None), Mapping)


def _same(before: Any, after: Any) -> bool:
    try:
        return fingerprint(before) == fingerprint(after)
    except EncodeError:
        return bool(before == after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _close(before: float, after: float, rtol: float, atol: float) -> bool:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return True
    return abs(before - after) <= atol + rtol * abs(before)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
