"""The parts that HDF5 files of values are made of: names, plain values, arrays, and what is refused.

A plain value is one dataset. Where its HDF5 type does not tell what it was in Python, the attribute
`lume_kind` does: a `float` and a NumPy scalar are both scalar datasets, and only the latter is marked.

What is read is not trusted: see `hdf5_guard`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t
from numpy.typing import NDArray

from lume_services.values.document import INT64, is_storable_datetime
from lume_services.values.dtypes import describe, has_padding, is_long, restore
from lume_services.values.hdf5_guard import Guard, text_of
from lume_services.values.trail import Trail

KIND = "lume_kind"
SINGLE = "lume_single"
VALUE = "value"
LIST = "list"

_DTYPE = "lume_dtype"
_EMPTY_KEY = "%"
_COMPACT_BYTES = 1 << 12
_NUMBER_BYTES = 40  # of a Python number in a list

_SCALAR = h5s.create(h5s.SCALAR)
# Without times, so that equal values make equal files.
_PLAIN = h5p.create(h5p.DATASET_CREATE)
_PLAIN.set_obj_track_times(False)
_COMPACT = _PLAIN.copy()
_COMPACT.set_layout(h5d.COMPACT)
_ORDERED = h5p.create(h5p.GROUP_CREATE)
_ORDERED.set_link_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
_UTF8 = h5p.create(h5p.LINK_CREATE)
_UTF8.set_char_encoding(h5t.CSET_UTF8)


def member_name(key: str) -> str:
    """Return the name that a key has in HDF5, where a slash would be a path and a dot this group."""
    if key in {".", ".."}:
        return key.replace(".", "%2E")
    return key.replace("%", "%25").replace("/", "%2F").replace("\0", "%00") or _EMPTY_KEY


def member_key(name: str) -> str:
    """Return the key of a name."""
    return "" if name == _EMPTY_KEY else unquote(name)


# writing ------------------------------------------------------------------------------------------


def make_group(parent: h5py.Group, name: str, kind: str | None = None) -> h5py.Group:
    """Make a group whose members keep their order."""
    group = h5py.Group(h5g.create(parent.id, name.encode(), lcpl=_UTF8, gcpl=_ORDERED))
    if kind is not None:
        set_text(group, KIND, kind)
    return group


def set_text(node: h5py.HLObject, name: str, text: str) -> None:
    """Give a node an attribute of text."""
    data = _text(text)
    type_id = h5t.py_create(data.dtype, logical=True)
    h5a.create(node.id, name.encode(), type_id, _SCALAR).write(data, type_id)


def write_plain(parent: h5py.Group, name: str, value: Any) -> bool:
    """Write a value that one dataset holds; return whether it was one."""
    form = _FORMS.get(type(value))
    found = form(value) if form else None
    if found is None:
        return False
    kind, data = found
    dataset = _create(parent, name, data)
    if kind is not None:
        set_text(dataset, KIND, kind)
    return True


def is_native(dtype: np.dtype[Any]) -> bool:
    """Return whether `write_array` writes elements of this dtype."""
    if dtype.metadata is not None or dtype.isalignedstruct:
        return False
    if dtype.names is not None:
        fields = [dtype.fields[name][0] for name in dtype.names] if dtype.fields else []
        simple = all(field.kind in "iufc" and not is_long(field) for field in fields)
        return simple and not has_padding(dtype) and _returns(dtype)
    return dtype.kind in "biufcmM" and not is_long(dtype)


def write_array(
    parent: h5py.Group, name: str, array: NDArray[Any] | np.generic, **storage: Any
) -> h5py.Dataset:
    """Write an array or a scalar of a native dtype.

    Args:
        parent: The group to be in.
        name: Of the dataset.
        array: What to write; from its own memory, where it is in C order.
        **storage: How h5py stores it: chunks, compression, shuffle.
    """
    dtype = array.dtype
    is_time = dtype.kind in "mM"
    dataset = _create(parent, name, np.asarray(array.view("i8") if is_time else array), **storage)
    if is_time:
        set_text(dataset, _DTYPE, describe(dtype))
    if isinstance(array, np.generic):
        set_text(dataset, KIND, "numpy")
    elif not array.ndim:
        set_text(dataset, KIND, "array")
    return dataset


def write_bytes(
    parent: h5py.Group, name: str, data: bytes | memoryview | NDArray[Any], **storage: Any
) -> h5py.Dataset:
    """Write bytes, with the storage of `write_array`."""
    dataset = _create(parent, name, np.frombuffer(data, np.uint8), **storage)
    set_text(dataset, KIND, "bytes")
    return dataset


def _create(parent: h5py.Group, name: str, data: NDArray[Any] | None, **storage: Any) -> h5py.Dataset:
    if storage:
        return parent.create_dataset(name, data=data, track_times=False, **storage)
    if data is None:
        return h5py.Dataset(
            h5d.create(parent.id, name.encode(), h5t.IEEE_F64LE, h5s.create(h5s.NULL), _PLAIN, _UTF8)
        )
    type_id = h5t.py_create(data.dtype, logical=True)
    space = h5s.create_simple(data.shape) if data.ndim else _SCALAR
    layout = _COMPACT if 0 < data.nbytes <= _COMPACT_BYTES else _PLAIN
    dataset = h5d.create(parent.id, name.encode(), type_id, space, layout, _UTF8)
    if data.size:
        dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(data), type_id)
    return h5py.Dataset(dataset)


def _returns(dtype: np.dtype[Any]) -> bool:
    return bool(describe(h5t.py_create(dtype, logical=True).dtype) == describe(dtype))


def _text(text: str) -> NDArray[Any]:
    data = text.encode()
    return np.array(data, h5py.string_dtype("utf-8", max(len(data), 1)))


def _form_of_text(text: str) -> tuple[str | None, NDArray[Any]]:
    if "\0" in text:
        return "utf-8", np.frombuffer(text.encode(), np.uint8)
    return None, _text(text)


def _form_of_integer(value: int) -> tuple[str | None, NDArray[Any]] | None:
    return (None, np.array(value, "<i8")) if value in INT64 else None


def _form_of_moment(moment: datetime) -> tuple[str | None, NDArray[Any]] | None:
    return ("datetime", _text(moment.astimezone(UTC).isoformat())) if is_storable_datetime(moment) else None


def _form_of_list(values: list[Any]) -> tuple[str | None, NDArray[Any]] | None:
    kinds = {type(value) for value in values}
    if kinds == {float}:
        return "numbers", np.array(values, "<f8")
    if kinds == {int} and all(value in INT64 for value in values):
        return "numbers", np.array(values, "<i8")
    return None


_FORMS: dict[type, Callable[[Any], tuple[str | None, NDArray[Any] | None] | None]] = {
    type(None): lambda _: ("None", None),
    bool: lambda value: (None, np.array(value)),
    int: _form_of_integer,
    float: lambda value: (None, np.array(value, "<f8")),
    str: _form_of_text,
    bytes: lambda value: ("bytes", np.frombuffer(value, np.uint8)),
    datetime: _form_of_moment,
    list: _form_of_list,
}
"""The `lume_kind` and the array of a plain value, by its type; None where it needs a group."""


# reading ------------------------------------------------------------------------------------------


def read_plain(dataset: h5py.Dataset, guard: Guard, trail: Trail) -> Any:
    """Return what a dataset holds: a plain value, an array or a NumPy scalar.

    Raises:
        DecodeError: The dataset is refused; see `hdf5_guard`.
    """
    guard.check(dataset)
    kind = text_of(dataset, KIND)
    if kind == "None" or dataset.shape is None:
        return None
    if kind == "numbers":
        guard.take(_NUMBER_BYTES * dataset.size)
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None:
        data = dataset[()]
    else:
        data = dataset.asstr()[()] if text.length is not None else guard.texts(dataset)
    dtype = text_of(dataset, _DTYPE)
    if dtype is not None:
        data = data.view(_time_dtype(dtype, trail))
    if kind in _READ:
        return _READ[kind](data)
    return data.item() if isinstance(data, np.bool | np.int64 | np.float64) else data


def dtype_of(dataset: h5py.Dataset, trail: Trail) -> np.dtype[Any]:
    """Return the dtype of the array that a dataset holds."""
    dtype = text_of(dataset, _DTYPE)
    found: np.dtype[Any] = dataset.dtype if dtype is None else _time_dtype(dtype, trail)
    return found


def _time_dtype(text: str, trail: Trail) -> np.dtype[Any]:
    try:
        dtype = restore(text)
    except ValueError as error:
        raise trail.fail(f"{error}.") from error
    if dtype.kind not in "mM":
        raise trail.fail(f"{text!r} is not a dtype of times.")
    return dtype


_READ: dict[str | None, Callable[[Any], Any]] = {
    "bytes": lambda data: data.tobytes(),
    "utf-8": lambda data: data.tobytes().decode(),
    "numbers": lambda data: data.tolist(),
    "array": np.asarray,
    "numpy": lambda data: data,
    "datetime": datetime.fromisoformat,
}
"""How a dataset becomes the value that it was written from, by its `lume_kind`."""
