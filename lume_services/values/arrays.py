"""NumPy arrays and scalars: taken apart, put together, hashed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.dtypes import StringDType
from numpy.typing import NDArray

from lume_services.values.blobs import BlobReader
from lume_services.values.dtypes import (
    LONG_BYTES,
    LONG_SLOT,
    describe,
    has_padding,
    is_long,
    restore,
    without_layout,
)
from lume_services.values.lazy import LazyArray
from lume_services.values.parts import exactly, members, shape_of
from lume_services.values.plain import RawBytes
from lume_services.values.registry import Kind, add_kind, serve_class
from lume_services.values.strings import pack, unpack

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher

_CHUNK_BYTES = 1 << 19
_BLOCK_BYTES = 1 << 24
_NUMBERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")


# arrays -------------------------------------------------------------------------------------------


def _dump_array(array: NDArray[Any] | LazyArray) -> dict[str, Any]:
    array = np.asarray(array)
    parts = {"dtype": describe(array.dtype), "shape": list(shape_of(list(array.shape)))}
    if isinstance(array.dtype, StringDType):
        return {**parts, "strings": pack([text if isinstance(text, str) else None for text in array.flat])}
    if array.size and not array.dtype.itemsize:
        raise TypeError(f"elements of dtype {array.dtype} have no bytes.")
    return {**parts, "data": _raw(array)}


def _raw(array: NDArray[Any]) -> RawBytes:
    """Return the bytes of an array: C order, little endian, padding zero. A copy only where needed."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    flat = (_without_padding(little) if has_padding(little.dtype) else little).reshape(-1)
    return RawBytes(flat.view(np.uint8).data if flat.nbytes else memoryview(b""))


def _without_padding(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.names is None:
        copy = np.array(array, order="C")
        if is_long(copy.dtype):
            copy.reshape(-1).view(np.uint8).reshape(-1, LONG_SLOT)[:, LONG_BYTES:] = 0
        return copy
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = _without_padding(array[name])
    return clean


def _load_array(parts: Any) -> NDArray[Any] | LazyArray:
    of_strings = type(parts) is dict and "strings" in parts
    dtype, shape, content = members(parts, "dtype", "shape", "strings" if of_strings else "data")
    dtype, shape = restore(dtype), shape_of(shape)
    if dtype.subdtype is not None:
        raise ValueError("only a field can be an array itself")
    if isinstance(dtype, StringDType) is not of_strings:
        raise ValueError(f"its elements are not stored as those of dtype {dtype} are")
    if isinstance(dtype, StringDType):
        missing = getattr(dtype, "na_object", None)
        strings = [missing if text is None else text for text in unpack(content)]
        return np.array(strings, dtype).reshape(shape)
    if isinstance(content, BlobReader):
        _check_size(content.nbytes, dtype, shape)
        return LazyArray(content, dtype, shape)
    data: Any = exactly(content, bytes, memoryview)
    _check_size(len(data), dtype, shape)
    array: NDArray[Any] = np.ndarray(shape, dtype, data)
    return array if array.flags.writeable else array.copy()


def _check_size(nbytes: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    if nbytes != dtype.itemsize * size or (size and not nbytes):
        raise ValueError(f"{nbytes} bytes do not make an array of shape {shape} and dtype {dtype}")


def _hash_array(array: NDArray[Any] | LazyArray, hasher: Hasher) -> None:
    if isinstance(array.dtype, StringDType):
        hasher.value(_dump_array(array))
        return
    hasher.value([without_layout(describe(array.dtype)), list(array.shape)])
    for block in _blocks(array):
        _hash_elements(block, hasher)


def _blocks(array: NDArray[Any] | LazyArray) -> Iterator[NDArray[Any]]:
    """Yield the array, or, where it is not loaded, some rows at a time: it need not fit into memory."""
    if isinstance(array, LazyArray) and array.shape and array.nbytes and array.dtype.names is None:
        rows = max(1, _BLOCK_BYTES * len(array) // array.nbytes)
        for start in range(0, len(array), rows):
            yield array[start : start + rows]
    else:
        yield np.asarray(array)


def _hash_elements(array: NDArray[Any], hasher: Hasher) -> None:
    if array.dtype.names is not None:
        for name in array.dtype.names:
            _hash_elements(array[name], hasher)
    elif array.nbytes:
        for chunk in _chunks(array):
            hasher.raw(_canonical(chunk).view(np.uint8).data)


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the elements in C order and little endian, a chunk at a time: no copy of the whole."""
    little = array.dtype.newbyteorder("<")
    length = max(1, _CHUNK_BYTES // array.itemsize)
    if array.flags.c_contiguous and array.dtype == little:
        flat = array.reshape(-1)
        for start in range(0, flat.size, length):
            yield flat[start : start + length]
        return
    yield from np.nditer(  # type: ignore[call-overload]  # NumPy's stubs misspell "contig"
        array,
        flags=["external_loop", "buffered"],
        op_flags=[["readonly", "contig"]],
        op_dtypes=[little],
        order="C",
        casting="equiv",
        buffersize=length,
    )


def _canonical(chunk: NDArray[Any]) -> NDArray[Any]:
    """Return the chunk with one NaN for all, one True for all, and padding zero."""
    if chunk.dtype.kind == "b":
        return np.not_equal(chunk.view(np.uint8), 0)
    if chunk.dtype.kind == "c":
        chunk = chunk.view(chunk.real.dtype)
    if chunk.dtype.kind == "f":
        unknown = np.isnan(chunk)
        if unknown.any():
            chunk = np.where(unknown, chunk.dtype.type(np.nan), chunk)
    return _without_padding(chunk) if is_long(chunk.dtype) else chunk


# scalars ------------------------------------------------------------------------------------------


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Return whether a Python number or string holds every scalar of a dtype exactly."""
    return dtype.kind in "biuUS" or (dtype.kind == "f" and not is_long(dtype))


def _dump_scalar(scalar: np.generic) -> dict[str, Any]:
    dtype = describe(scalar.dtype)
    if _is_plain(scalar.dtype):
        return {"dtype": dtype, "value": _item(scalar)}
    return {"dtype": dtype, "data": _raw(np.asarray(scalar))}


def _item(scalar: np.generic) -> Any:
    """Return the Python value of a scalar; its own `item` drops the NULs at the end of a string."""
    return scalar[:] if isinstance(scalar, np.bytes_ | np.str_) else scalar.item()


def _load_scalar(parts: Any) -> Any:
    if type(parts) is dict and "data" in parts:
        dtype, data = members(parts, "dtype", "data")
        return _load_array({"dtype": dtype, "data": data, "shape": []})[()]
    description, value = members(parts, "dtype", "value")
    dtype = restore(description)
    if not _is_plain(dtype) or type(value) is not type(dtype.type().item()):
        raise ValueError(f"{value!r} is not the value of a {dtype} scalar")
    with np.errstate(over="ignore"):
        scalar = dtype.type(value)
    if describe(scalar.dtype) != description or (_item(scalar) != value and value == value):  # noqa: PLR0124
        raise ValueError(f"{value!r} is not the value of a {dtype} scalar")
    return scalar


def _hash_scalar(scalar: np.generic, hasher: Hasher) -> None:
    _hash_array(np.asarray(scalar), hasher)
    if isinstance(scalar, np.bytes_ | np.str_) and len(scalar) == 1 and not scalar.item():
        hasher.value(1)  # as an array, one NUL is the empty string


# Not their subclasses: a class that is not known is refused by its name.
_SCALARS = tuple(np.dtype(code).type for code in ("?", *"SUVMm", *_NUMBERS, "g", "G"))

add_kind(Kind("ndarray", np.ndarray, _dump_array, _load_array, hash_into=_hash_array))
serve_class(LazyArray, "ndarray")
add_kind(Kind("numpy", np.generic, _dump_scalar, _load_scalar, hash_into=_hash_scalar))
for _class in _SCALARS:
    serve_class(_class, "numpy")
