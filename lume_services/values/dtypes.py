"""NumPy dtypes as plain data, and back without trusting it.

A simple dtype is text, little endian: `<f8`, `|b1`, `<U5`, `<M8[ns]`. A long double carries the number
of bits of its mantissa, because machines differ: `<f16.63`. A structured dtype is a dict with names,
formats, offsets, itemsize and, where it has them, titles and its alignment; a field that is itself an
array is a dict with base and shape; a dtype of strings of any length is a dict with coerce and missing.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.dtypes import StringDType

_SIMPLE = re.compile(
    r"\|b1|\|[iu]1|<[iu][248]|<f[248]|<c(8|16)|<U\d{1,9}|\|[SV]\d{1,9}"
    r"|<[mM]8(\[([1-9]\d{0,8})?(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
)
_MOST_OVERLAP = 16
_LAYOUT = {"offsets", "itemsize", "aligned"}
_FIELDS = {"names", "formats", "offsets", "itemsize", "titles", "aligned"}

_X87_MANTISSA = 63
_MANTISSA = int(np.finfo(np.longdouble).nmant)
LONG_SLOT = np.dtype(np.longdouble).itemsize
LONG_BYTES = 10 if _MANTISSA == _X87_MANTISSA else LONG_SLOT
_LONG = (
    {f"{np.dtype(cls).str}.{_MANTISSA}": np.dtype(cls) for cls in (np.longdouble, np.clongdouble)}
    if np.dtype(np.longdouble) != np.dtype(np.float64)
    else {}
)


def describe(dtype: np.dtype[Any]) -> Any:
    """Return a dtype as plain data; byte order is left out.

    Raises:
        TypeError: Elements of this dtype cannot be stored.
    """
    if isinstance(dtype, StringDType):
        return {"coerce": dtype.coerce, "missing": _name_of_missing(dtype)}
    if dtype.metadata is not None:
        raise TypeError(
            f"its dtype has metadata, {dict(dtype.metadata)!r:.100}, which would be lost. Store them beside "
            "it, and it without them: array.view(array.dtype.str); where it has fields, of array.dtype.descr."
        )
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        if not dtype.itemsize:
            raise TypeError("a field of its dtype is an array without elements. Leave the field out.")
        return {"base": describe(base), "shape": list(shape)}
    if dtype.fields is not None and dtype.names is not None:
        return _describe_fields(dtype, [dtype.fields[name] for name in dtype.names])
    if dtype.kind == "O":
        raise TypeError("its elements are Python objects. Convert it with array.tolist() or array.astype(…).")
    return next((text for text, long in _LONG.items() if is_same(dtype, long)), dtype.newbyteorder("<").str)


def _describe_fields(dtype: np.dtype[Any], fields: list[Any]) -> dict[str, Any]:
    if dtype.type is not np.void:
        raise TypeError(
            f"its dtype is of {dtype.type.__name__}s. Convert it: "
            "numpy.array(value.tolist(), value.dtype.descr)."
        )
    description = {
        "names": list(dtype.names or ()),
        "formats": [describe(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
    }
    titles = [field[2] if len(field) > 2 else None for field in fields]  # noqa: PLR2004 - the title is third
    if dtype.isalignedstruct:
        description["aligned"] = True
    return {**description, "titles": titles} if any(titles) else description


def without_layout(description: Any) -> Any:
    """Return a description without what tells only where in memory the fields lie."""
    if isinstance(description, dict) and "names" in description:
        parts = {key: part for key, part in description.items() if key not in _LAYOUT}
        return {**parts, "formats": [without_layout(item) for item in description["formats"]]}
    return description


def restore(description: Any) -> np.dtype[Any]:
    """Return the dtype of a description that `describe` made.

    Raises:
        ValueError: It is not one, or this machine lacks the dtype.
        TypeError: NumPy lets no field be of such a dtype.
    """
    dtype = _restored(description)
    refuse_overlap(dtype)
    return dtype


def refuse_overlap(dtype: np.dtype[Any]) -> None:
    """Refuse a dtype whose values take much more than its elements have bytes.

    Raises:
        ValueError: It is one.
    """
    if _value_bytes(dtype) > _MOST_OVERLAP * max(dtype.itemsize, 1):
        raise ValueError(f"the fields of its dtype lie over each other more than {_MOST_OVERLAP} times")


def _restored(description: Any) -> np.dtype[Any]:
    match description:
        case str() if description in _LONG:
            return _LONG[description]
        case str() if _SIMPLE.fullmatch(description):
            return np.dtype(description)
        case {"coerce": bool(coerce), "missing": None | "None" | "nan" as missing, **rest} if not rest:
            return _string_dtype(coerce, missing)
        case {"base": base, "shape": [*shape], **rest} if not rest and _are_lengths(shape):
            return np.dtype((_of_field(base), tuple(shape)))
        case {"names": [*names], "formats": [*formats], "offsets": [*offsets], "itemsize": size} if (
            description.keys() <= _FIELDS and _are_lengths([*offsets, size]) and _are_names(names, str)
        ):
            titles = description.get("titles")
            aligned = description.get("aligned", True)
            if aligned is True and (
                titles is None or (type(titles) is list and _are_names(titles, str, type(None)))
            ):
                fields: Any = {**description, "formats": [_of_field(item) for item in formats]}
                dtype: np.dtype[Any] = np.dtype(fields)
                return dtype
    raise ValueError(f"{description!r:.200} is not a dtype that this machine can hold")


def _are_lengths(numbers: list[Any]) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)


def _are_names(names: list[Any], *types: type) -> bool:
    return all(type(name) in types for name in names)


def _of_field(description: Any) -> np.dtype[Any]:
    dtype = _restored(description)
    if isinstance(dtype, StringDType):  # its elements would be addresses in memory
        raise TypeError("a field cannot be a string of any length")
    if dtype.subdtype is not None and not dtype.itemsize:
        raise ValueError("a field cannot be an array without elements")
    return dtype


def _value_bytes(dtype: np.dtype[Any]) -> int:
    """Return how many bytes the values of an element take, each for itself."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return _value_bytes(base) * math.prod(shape)
    if dtype.fields is None or dtype.names is None:
        return dtype.itemsize
    return sum(_value_bytes(dtype.fields[name][0]) for name in dtype.names)


def is_same(dtype: np.dtype[Any], other: np.dtype[Any]) -> bool:
    """Return whether two dtypes differ in byte order at most."""
    return dtype.newbyteorder("=") == other


def is_long(dtype: np.dtype[Any]) -> bool:
    """Return whether this is a long double, or a complex number of two."""
    return any(is_same(dtype, long) for long in _LONG.values())


def has_padding(dtype: np.dtype[Any]) -> bool:
    """Return whether some bytes of an element belong to no value."""
    if dtype.subdtype is not None:
        return has_padding(dtype.subdtype[0])
    if dtype.fields is None or dtype.names is None:
        return is_long(dtype) and LONG_BYTES != LONG_SLOT
    fields = [dtype.fields[name][0] for name in dtype.names]
    return sum(field.itemsize for field in fields) != dtype.itemsize or any(map(has_padding, fields))


def _name_of_missing(dtype: StringDType) -> str | None:
    if not hasattr(dtype, "na_object"):
        return None
    missing: Any = dtype.na_object
    if missing is None:
        return "None"
    if isinstance(missing, float) and math.isnan(missing):
        return "nan"
    raise TypeError(f"its dtype marks missing strings by {missing!r}. Use None or nan.")


def _string_dtype(coerce: bool, missing: str | None) -> StringDType:
    if missing is None:
        return StringDType(coerce=coerce)
    na_object: Any = None if missing == "None" else math.nan
    return StringDType(coerce=coerce, na_object=na_object)
