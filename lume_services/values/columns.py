"""pandas columns and indexes: taken apart into arrays, put together.

A column of a NumPy dtype is an ndarray. One of Python objects is a list, or, where all are strings or
None, a dict of packed strings. All others are pandas' own arrays, each with a kind below.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lume_services.values.document import INT64
from lume_services.values.parts import column_of, exactly, members
from lume_services.values.registry import Kind, add_kind, serve_class
from lume_services.values.strings import pack, unpack

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher

_TIME_ZONE = re.compile(r"(?!dateutil)[A-Za-z0-9_+\-/:]{1,64}")
_FREQUENCY = re.compile(r"-?\d{0,9}(\.\d{1,9})?[A-Za-z]{1,5}(-[A-Z0-9]{1,3})*")
_COLUMN_KINDS = "biufcmM"
_UNITS = {(unit, 1) for unit in ("s", "ms", "us", "ns")}
_WITH_FREQ = (pd.DatetimeIndex, pd.TimedeltaIndex)
_MASKED = {pd.arrays.IntegerArray: "iu", pd.arrays.FloatingArray: "f", pd.arrays.BooleanArray: "b"}


def dump_column(column: pd.Series | pd.Index) -> Any:
    """Return the values of a column as parts."""
    if not isinstance(column.dtype, np.dtype):
        return column.array
    values = column.to_numpy()
    if values.dtype != object:
        _check_dtype(values.dtype)
        return values
    objects = values.tolist()
    return pack(objects) if all(type(item) is str or item is None for item in objects) else objects


def load_column(parts: Any, length: int | None = None) -> Any:
    """Return the values of a column: an array of NumPy or pandas.

    Args:
        parts: What `dump_column` returned.
        length: What its length must be.

    Raises:
        ValueError: The parts are not those of a column, or of one of another length.
    """
    values = _load_values(parts)
    if length is not None and len(values) != length:
        raise ValueError(f"expected {length} values in a column, found {len(values)}")
    return values


def _load_values(parts: Any) -> Any:
    if isinstance(parts, pd.api.extensions.ExtensionArray):
        return parts
    if isinstance(parts, dict):
        parts = unpack(parts)
    if isinstance(parts, list):
        values = np.empty(len(parts), object)
        for row, item in enumerate(parts):
            values[row] = item
        return values
    array = column_of(parts, _COLUMN_KINDS)
    _check_dtype(array.dtype)
    return array


def _check_dtype(dtype: np.dtype[Any]) -> None:
    is_time = dtype.kind in "mM"
    if dtype.kind not in _COLUMN_KINDS or (is_time and np.datetime_data(dtype) not in _UNITS):
        raise ValueError(f"a column cannot be of dtype {dtype}. Convert it, for example to object.")


def dtype_of(values: Any) -> Any:
    """Return the dtype to insist on where pandas would guess another one from the objects."""
    return object if values.dtype == object else None


# indexes ------------------------------------------------------------------------------------------


def _dump_index(index: pd.Index) -> dict[str, Any]:
    if isinstance(index, pd.MultiIndex):
        index = index.remove_unused_levels()
        return {
            "levels": [_dump_level(level) for level in index.levels],
            "codes": [np.asarray(code) for code in index.codes],
            "names": list(index.names),
        }
    if isinstance(index, pd.RangeIndex):
        return {"start": index.start, "stop": index.stop, "step": index.step, "name": index.name}
    parts = {"values": dump_column(index), "name": index.name}
    if isinstance(index, _WITH_FREQ) and index.freq is not None:
        parts["freq"] = _dump_frequency(index.freq)
    return parts


def _dump_level(level: pd.Index) -> Any:
    """Return a level as the column it is, or, where it has a frequency, as an index."""
    return (
        level.rename(None) if isinstance(level, _WITH_FREQ) and level.freq is not None else dump_column(level)
    )


def _dump_frequency(freq: Any) -> str:
    """Return the name of a frequency.

    Raises:
        ValueError: Its name does not say all of it.
    """
    name = str(freq.freqstr)
    with suppress(ValueError):
        if pd.tseries.frequencies.to_offset(_frequency(name)) == freq:
            return name
    raise ValueError(f"the frequency {freq!r} has no name that says all of it. Drop it: index.freq = None.")


def _hash_index(index: pd.Index, hasher: Hasher) -> None:
    if isinstance(index, pd.MultiIndex):  # equal ones may have their levels in another order
        levels = [_dump_level(index.get_level_values(level)) for level in range(index.nlevels)]
        hasher.value({"levels": levels, "names": list(index.names)})
    else:
        hasher.value(_dump_index(index))


def _load_index(parts: Any) -> Any:
    match parts:
        case {"levels": [*levels], "codes": [*codes], "names": [*names], **rest} if not rest:
            return _load_levels(levels, codes, names)
        case {"start": int(), "stop": int(), "step": int(), "name": name, **rest} if not rest:
            return _load_range(parts["start"], parts["stop"], parts["step"]).rename(_label(name))
        case {"values": values, "name": name, "freq": str(freq), **rest} if not rest:
            index = _flat(_plain_index(load_column(values)), *_WITH_FREQ)
            return type(index)(index, freq=_frequency(freq), name=_label(name))
        case {"values": values, "name": name, **rest} if not rest:
            return _plain_index(load_column(values)).rename(_label(name))
    raise ValueError("its parts are not those of an index")


def _load_levels(levels: list[Any], codes: list[Any], names: list[Any]) -> pd.MultiIndex:
    if not len(levels) == len(codes) == len(names):
        raise ValueError("it has not as many levels as codes and names")
    positions = [column_of(part, "i") for part in codes]
    if len(set(map(len, positions))) > 1:
        raise ValueError("its codes are not equally many")
    return pd.MultiIndex(
        [_load_level(level) for level in levels],
        [part.tolist() for part in positions],
        names=[_label(name) for name in names],
    )


def _load_level(part: Any) -> Any:
    if isinstance(part, pd.Index):
        return _flat(part, *_WITH_FREQ)
    return _plain_index(load_column(part))


def _load_range(start: int, stop: int, step: int) -> pd.RangeIndex:
    if not all(type(end) is int and end in INT64 for end in (start, stop, step)):
        raise ValueError("the ends of a range are integers of 64 bits")
    if len(range(start, stop, step)) not in INT64:
        raise ValueError("a range is too long")
    return pd.RangeIndex(start, stop, step)


def _label(name: Any) -> Any:
    hash(name)  # it is a key
    return name


def _flat(index: Any, *types: type[pd.Index]) -> Any:
    """Return an index of one of these types (default: any that has one level).

    Raises:
        TypeError: It is none.
    """
    if not isinstance(index, types or pd.Index) or isinstance(index, pd.MultiIndex):
        raise TypeError(f"this {type(index).__name__} is not an index as it was stored")
    return index


def _plain_index(values: Any) -> Any:
    if values.dtype == object:
        for label in values:
            hash(label)
    return pd.Index(values, dtype=dtype_of(values))


# pandas' own arrays -------------------------------------------------------------------------------


def _dump_strings(array: Any) -> dict[str, Any]:
    missing = "nan" if getattr(array.dtype, "na_value", pd.NA) is not pd.NA else "NA"
    strings = pack(array.to_numpy(dtype=object, na_value=None).tolist())
    return {"storage": array.dtype.storage, "missing": missing, "strings": strings}


def _hash_strings(array: Any, hasher: Hasher) -> None:
    parts = _dump_strings(array)
    hasher.value({"missing": parts["missing"], "strings": parts["strings"]})


def _load_strings(parts: Any) -> Any:
    storage, missing, packed = members(parts, "storage", "missing", "strings")
    if storage not in ("python", "pyarrow") or missing not in ("nan", "NA"):
        raise ValueError(f"there are no strings of storage {storage!r} with {missing!r}")
    options = {"na_value": np.nan} if missing == "nan" else {}
    try:
        dtype = pd.StringDtype(storage, **options)
    except ImportError:  # pyarrow is not installed here; the strings are the same without it
        dtype = pd.StringDtype("python", **options)
    return pd.array(np.array(unpack(packed), object), dtype=dtype)


def _dump_masked(array: Any) -> dict[str, Any]:
    zero = array.dtype.numpy_dtype.type(0)
    return {"data": array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=zero), "missing": array.isna()}


def _dump_categories(array: pd.Categorical) -> dict[str, Any]:
    return {"codes": array.codes, "categories": array.categories, "ordered": array.ordered}


def _load_categories(parts: Any) -> pd.Categorical:
    codes, categories, ordered = members(parts, "codes", "categories", "ordered")
    positions, categories = column_of(codes, "i"), _flat(categories)
    if len(positions) and not (positions.min() >= -1 and positions.max() < len(categories)):
        raise ValueError(f"its codes are not those of {len(categories)} categories")
    return pd.Categorical.from_codes(positions, categories, ordered=exactly(ordered, bool))


def dump_time_zone(zone: Any) -> str | None:
    """Return the name of a time zone.

    Raises:
        ValueError: pandas cannot make it again from its name.
    """
    if zone is None:
        return None
    name = str(zone)
    if not _TIME_ZONE.fullmatch(name) or _with_zone(load_time_zone(name)) != _with_zone(zone):
        raise ValueError(f"the time zone {zone!r} has no name. Convert it to UTC.")
    return name


def _with_zone(zone: Any) -> Any:
    return pd.DatetimeTZDtype("ns", zone)


def load_time_zone(name: str | None) -> Any:
    """Return the time zone of a name.

    Raises:
        ValueError: It is not a name of the time zone database, or an offset from UTC.
    """
    if name is None:
        return None
    if not _TIME_ZONE.fullmatch(exactly(name, str)):
        raise ValueError(f"{name!r} is not a time zone")
    return _with_zone(name).tz


def _dump_moments(array: Any) -> dict[str, Any]:
    moments = array if array.tz is None else array.tz_convert(None)
    return {"utc": moments.to_numpy(), "zone": dump_time_zone(array.tz)}


def _load_moments(parts: Any) -> Any:
    utc, zone = members(parts, "utc", "zone")
    index = pd.DatetimeIndex(load_column(column_of(utc, "M")))
    return index.tz_localize("UTC").tz_convert(load_time_zone(zone)).array


def _dump_intervals(array: Any) -> dict[str, Any]:
    return {"left": array.left, "right": array.right, "closed": array.closed}


def _load_intervals(parts: Any) -> Any:
    left, right, closed = members(parts, "left", "right", "closed")
    if isinstance(_flat(left), pd.RangeIndex) or isinstance(_flat(right), pd.RangeIndex):
        raise TypeError("the ends of intervals are no range")
    if len(left) != len(right) or left.dtype != right.dtype:
        raise ValueError("the ends of intervals are not equally many of one dtype")
    return pd.arrays.IntervalArray.from_arrays(left, right, closed)


def _dump_periods(array: Any) -> dict[str, Any]:
    return {"ordinals": array.asi8, "freq": array.freqstr}


def _load_periods(parts: Any) -> Any:
    ordinals, freq = members(parts, "ordinals", "freq")
    positions = column_of(ordinals, "i")
    if positions.dtype != np.int64:  # pandas does not look, and reads beyond the end
        raise ValueError(f"its ordinals are of dtype {positions.dtype}")
    return pd.arrays.PeriodArray(positions.copy(), dtype=pd.PeriodDtype(_frequency(freq)))


def _frequency(name: Any) -> str:
    if not _FREQUENCY.fullmatch(exactly(name, str)):
        raise ValueError(f"{name!r:.100} is not a frequency")
    return str(name)


def _masked_kind(cls: Any, kinds: str) -> Kind:
    def load(parts: Any) -> Any:
        data, missing = members(parts, "data", "missing")
        values = column_of(data, kinds)
        return cls(values.copy(), column_of(missing, "b", length=len(values)).copy())

    return Kind(f"pandas.{cls.__name__}", cls, _dump_masked, load)


for _kind in (
    Kind("pandas.Index", pd.Index, _dump_index, _load_index, hash_into=_hash_index),
    Kind("pandas.Categorical", pd.Categorical, _dump_categories, _load_categories),
    Kind("pandas.DatetimeArray", pd.arrays.DatetimeArray, _dump_moments, _load_moments),
    Kind("pandas.IntervalArray", pd.arrays.IntervalArray, _dump_intervals, _load_intervals),
    Kind("pandas.PeriodArray", pd.arrays.PeriodArray, _dump_periods, _load_periods),
    Kind("pandas.StringArray", pd.arrays.StringArray, _dump_strings, _load_strings, hash_into=_hash_strings),
    *(_masked_kind(cls, kinds) for cls, kinds in _MASKED.items()),
):
    add_kind(_kind)
serve_class(pd.arrays.ArrowStringArray, "pandas.StringArray")
for _class in (
    pd.RangeIndex,
    pd.MultiIndex,
    pd.DatetimeIndex,
    pd.TimedeltaIndex,
    pd.PeriodIndex,
    pd.IntervalIndex,
    pd.CategoricalIndex,
):
    serve_class(_class, "pandas.Index")
