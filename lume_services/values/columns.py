"""pandas columns and indexes: taken apart into arrays, put together.

A column of a NumPy dtype is an ndarray. One of Python objects is a list, or, where all are strings or
None, a dict of packed strings. All others are pandas' own arrays, each with a kind below.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lume_services.values.registry import Kind, add_kind, serve_class
from lume_services.values.strings import pack, unpack

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher

_TIME_ZONE = re.compile(r"(?!dateutil)[A-Za-z0-9_+\-/:]{1,64}")
_MASKED = (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)


def dump_column(column: pd.Series | pd.Index) -> Any:
    """Return the values of a column as parts."""
    if not isinstance(column.dtype, np.dtype):
        return column.array
    values = column.to_numpy()
    if values.dtype != object:
        return values
    objects = values.tolist()
    return pack(objects) if all(type(item) is str or item is None for item in objects) else objects


def load_column(parts: Any) -> Any:
    """Return the values of a column: an array of NumPy or pandas.

    Raises:
        ValueError: The parts are not those of a column.
    """
    if isinstance(parts, dict):
        parts = unpack(parts)
    if isinstance(parts, list):
        values = np.empty(len(parts), object)
        for row, item in enumerate(parts):
            values[row] = item
        return values
    if isinstance(parts, pd.api.extensions.ExtensionArray):
        return parts
    values = np.asarray(parts)
    if values.ndim != 1:
        raise ValueError("a column has one axis")
    return values


def dtype_of(values: Any) -> Any:
    """Return the dtype to insist on where pandas would guess another one from the objects."""
    return object if values.dtype == object else None


# indexes ------------------------------------------------------------------------------------------


def _dump_index(index: pd.Index) -> dict[str, Any]:
    if isinstance(index, pd.MultiIndex):
        index = index.remove_unused_levels()
        levels = [dump_column(level) for level in index.levels]
        return {
            "levels": levels,
            "codes": [np.asarray(code) for code in index.codes],
            "names": list(index.names),
        }
    if isinstance(index, pd.RangeIndex):
        return {"start": index.start, "stop": index.stop, "step": index.step, "name": index.name}
    parts = {"values": dump_column(index), "name": index.name}
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) and index.freqstr:
        parts["freq"] = index.freqstr
    return parts


def _hash_index(index: pd.Index, hasher: Hasher) -> None:
    if isinstance(index, pd.MultiIndex):  # equal ones may have their levels in another order
        levels = [dump_column(index.get_level_values(level)) for level in range(index.nlevels)]
        hasher.value({"levels": levels, "names": list(index.names)})
    else:
        hasher.value(_dump_index(index))


def _load_index(parts: dict[str, Any]) -> Any:
    match parts:
        case {"levels": levels, "codes": codes, "names": names}:
            levels = [_plain_index(load_column(level)) for level in levels]
            return pd.MultiIndex(levels, [np.asarray(part).tolist() for part in codes], names=names)
        case {"start": int(start), "stop": int(stop), "step": int(step), "name": name}:
            return pd.RangeIndex(start, stop, step, name=name)
        case {"values": values, "name": name, "freq": str(freq)}:
            index = _plain_index(load_column(values))
            return type(index)(index, freq=freq, name=name)
        case {"values": values, "name": name}:
            return _plain_index(load_column(values)).rename(name)
    raise ValueError("its parts are not those of an index")


def _plain_index(values: Any) -> Any:
    return pd.Index(values, dtype=dtype_of(values))


# pandas' own arrays -------------------------------------------------------------------------------


def _dump_strings(array: Any) -> dict[str, Any]:
    missing = "nan" if getattr(array.dtype, "na_value", pd.NA) is not pd.NA else "NA"
    strings = pack(array.to_numpy(dtype=object, na_value=None).tolist())
    return {"storage": array.dtype.storage, "missing": missing, "strings": strings}


def _hash_strings(array: Any, hasher: Hasher) -> None:
    parts = _dump_strings(array)
    hasher.value({"missing": parts["missing"], "strings": parts["strings"]})


def _load_strings(parts: dict[str, Any]) -> Any:
    storage = parts["storage"]
    options = {"na_value": np.nan} if parts["missing"] == "nan" else {}
    try:
        dtype = pd.StringDtype(storage, **options)
    except ImportError:  # pyarrow is not installed here; the strings are the same without it
        dtype = pd.StringDtype("python", **options)
    return pd.array(np.array(unpack(parts["strings"]), object), dtype=dtype)


def _dump_masked(array: Any) -> dict[str, Any]:
    zero = array.dtype.numpy_dtype.type(0)
    return {"data": array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=zero), "missing": array.isna()}


def _dump_categories(array: pd.Categorical) -> dict[str, Any]:
    return {"codes": array.codes, "categories": array.categories, "ordered": array.ordered}


def _load_categories(parts: dict[str, Any]) -> pd.Categorical:
    codes = np.asarray(parts["codes"])
    return pd.Categorical.from_codes(codes, parts["categories"], ordered=parts["ordered"])


def dump_time_zone(zone: Any) -> str | None:
    """Return the name of a time zone.

    Raises:
        ValueError: pandas cannot make it again from its name.
    """
    if zone is None:
        return None
    name = str(zone)
    if not _TIME_ZONE.fullmatch(name) or str(load_time_zone(name)) != name:
        raise ValueError(f"the time zone {zone!r} has no name. Convert it to UTC.")
    return name


def load_time_zone(name: str | None) -> Any:
    """Return the time zone of a name.

    Raises:
        ValueError: It is not a name of the time zone database, or an offset from UTC.
    """
    if name is None:
        return None
    if not _TIME_ZONE.fullmatch(name):
        raise ValueError(f"{name!r} is not a time zone")
    return pd.DatetimeTZDtype("ns", name).tz


def _dump_moments(array: Any) -> dict[str, Any]:
    moments = array if array.tz is None else array.tz_convert(None)
    return {"utc": moments.to_numpy(), "zone": dump_time_zone(array.tz)}


def _load_moments(parts: dict[str, Any]) -> Any:
    index = pd.DatetimeIndex(np.asarray(parts["utc"]))
    return index.tz_localize("UTC").tz_convert(load_time_zone(parts["zone"])).array


def _dump_intervals(array: Any) -> dict[str, Any]:
    return {"left": array.left, "right": array.right, "closed": array.closed}


def _load_intervals(parts: dict[str, Any]) -> Any:
    return pd.arrays.IntervalArray.from_arrays(parts["left"], parts["right"], parts["closed"])


def _dump_periods(array: Any) -> dict[str, Any]:
    return {"ordinals": array.asi8, "freq": array.freqstr}


def _load_periods(parts: dict[str, Any]) -> Any:
    return pd.arrays.PeriodArray(np.array(parts["ordinals"]), dtype=pd.PeriodDtype(parts["freq"]))


def _masked_kind(cls: Any) -> Kind:
    return Kind(
        f"pandas.{cls.__name__}",
        cls,
        _dump_masked,
        lambda parts: cls(np.array(parts["data"]), np.array(parts["missing"])),
    )


for _kind in (
    Kind("pandas.Index", pd.Index, _dump_index, _load_index, subclasses=True, hash_into=_hash_index),
    Kind("pandas.Categorical", pd.Categorical, _dump_categories, _load_categories),
    Kind("pandas.DatetimeArray", pd.arrays.DatetimeArray, _dump_moments, _load_moments),
    Kind("pandas.IntervalArray", pd.arrays.IntervalArray, _dump_intervals, _load_intervals),
    Kind("pandas.PeriodArray", pd.arrays.PeriodArray, _dump_periods, _load_periods),
    Kind(
        "pandas.StringArray",
        pd.arrays.StringArray,
        _dump_strings,
        _load_strings,
        subclasses=True,
        hash_into=_hash_strings,
    ),
    *map(_masked_kind, _MASKED),
):
    add_kind(_kind)
serve_class(pd.arrays.ArrowStringArray, "pandas.StringArray")
