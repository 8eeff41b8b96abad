"""Values as self-describing HDF5: dicts are groups, arrays are datasets, as h5py and HDFView show them.

A value that HDF5 has no form for is taken apart by its kind (`registry`), just as the codec does it,
into a group that carries the kind's name in the attribute `lume_kind`. So a DataFrame is a group with
one dataset for each column.

What is read is not trusted: links that lead elsewhere, external and virtual datasets, Python objects
and datasets whose size is out of proportion to their storage are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np

from lume_services.errors import DecodeError, EncodeError, LUMEServicesError
from lume_services.values.advice import advice_for
from lume_services.values.document import INT64, is_storable_datetime
from lume_services.values.plain import RawBytes
from lume_services.values.registry import kind_named, kind_of
from lume_services.values.trail import Trail

KIND = "lume_kind"
_SINGLE = "value"
_EMPTY_KEY = "%"
_BOMB_BYTES = 1 << 28
_BOMB_RATIO = 1000


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "bool": lambda data: data.item(),
    "int": lambda data: data.item(),
    "float": lambda data: data.item(),
    "bytes": lambda data: data.tobytes(),
    "utf-8": lambda data: data.tobytes().decode(),
    "numbers": lambda data: data.tolist(),
    "array": np.asarray,
    "datetime": datetime.fromisoformat,
}
"""How a dataset becomes the plain value that it was written from, by its `lume_kind`."""


def write_value(file: h5py.Group, value: Any) -> None:
    """Write a value into an empty HDF5 file or group.

    Args:
        file: Where to; a dict becomes its members, anything else the one member `value`.
        value: What; arrays are written from their own memory.

    Raises:
        EncodeError: A part of the value cannot be stored. The error names it, and what to do.
    """
    writer = _Writer()
    if isinstance(value, dict) and all(type(key) is str for key in value):
        writer.members(file, value)
    else:
        file.attrs[KIND] = _SINGLE
        writer.value(file, _SINGLE, value)


def read_value(file: h5py.Group) -> Any:
    """Return the value of an HDF5 file or group, arrays whole.

    Raises:
        DecodeError: The file holds what is refused (see the module), or names an unknown kind.
    """
    reader = _Reader()
    if file.attrs.get(KIND) == _SINGLE:
        return reader.members(file)[_SINGLE]
    return reader.node(file)


def refuse_links(group: h5py.Group) -> None:
    """Refuse a file that reaches into other files.

    Raises:
        DecodeError: It has an external or a soft link, or a dataset whose data lie in another file.
    """
    _Reader().check_tree(group)


def _name(key: str) -> str:
    if key in {".", ".."}:
        return key.replace(".", "%2E")
    return key.replace("%", "%25").replace("/", "%2F").replace("\0", "%00") or _EMPTY_KEY


def _key(name: str) -> str:
    return "" if name == _EMPTY_KEY else unquote(name)


def _is_native(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return all(_is_native(dtype.fields[name][0]) for name in dtype.names)  # type: ignore[index]
    return dtype.kind in "biufc" and dtype.subdtype is None


class _Writer:
    def __init__(self) -> None:
        self._trail = Trail("value", EncodeError)

    def members(self, group: h5py.Group, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self._trail.steps.append(key)
            self.value(group, _name(key), value)
            self._trail.steps.pop()

    def value(self, parent: h5py.Group, name: str, value: Any) -> None:
        """Write one value as a member of a group."""
        if isinstance(value, np.ndarray) and _is_native(value.dtype):
            self._dataset(parent, name, value, None if value.ndim else "array")
        elif isinstance(value, np.generic) and _is_native(value.dtype):
            self._dataset(parent, name, value, None)
        elif value is None:
            self._dataset(parent, name, h5py.Empty("f8"), "None")
        elif type(value) in (bool, float) or (type(value) is int and value in INT64):
            self._dataset(parent, name, value, type(value).__name__)
        elif type(value) is datetime and is_storable_datetime(value):
            self._dataset(parent, name, value.astimezone(UTC).isoformat(), "datetime")
        elif type(value) is str and "\0" not in value:
            self._dataset(parent, name, value, "str")
        elif type(value) is bytes or isinstance(value, RawBytes):
            view = value.view if isinstance(value, RawBytes) else value
            self._dataset(parent, name, np.frombuffer(view, np.uint8), "bytes")
        elif type(value) is str:
            self._dataset(parent, name, np.frombuffer(value.encode(), np.uint8), "utf-8")
        elif type(value) is list and _is_numbers(value):
            self._dataset(parent, name, np.array(value), "numbers")
        else:
            self._group(parent, name, value)

    def _dataset(self, parent: h5py.Group, name: str, data: Any, kind: str | None) -> None:
        try:
            dataset = parent.create_dataset(name, data=data)
        except (TypeError, ValueError, UnicodeEncodeError) as error:
            raise self._trail.fail(f"HDF5 cannot hold this: {error}") from error
        if kind:
            dataset.attrs[KIND] = kind

    def _group(self, parent: h5py.Group, name: str, value: Any) -> None:
        self._trail.enter(value)
        group = parent.create_group(name, track_order=True)
        if type(value) is list:
            group.attrs[KIND] = "list"
            self.members(group, {str(index): item for index, item in enumerate(value)})
        elif type(value) is dict and all(type(key) is str for key in value):
            self.members(group, value)
        else:
            self._kind(group, value)
        self._trail.leave(value)

    def _kind(self, group: h5py.Group, value: Any) -> None:
        kind = kind_of(type(value))
        if kind is None:
            raise self._trail.fail(*advice_for(value))
        try:
            parts = kind.dump(value)
        except Exception as error:
            raise self._trail.fail(f"cannot store this {kind.name}: {error}") from error
        group.attrs[KIND] = f"{kind.name}"
        if type(parts) is dict and all(type(key) is str for key in parts):
            self.members(group, parts)
        else:
            group.attrs["lume_single"] = True
            self.value(group, _SINGLE, parts)


def _is_numbers(values: list[Any]) -> bool:
    kinds = {type(value) for value in values}
    return kinds == {float} or (kinds == {int} and all(value in INT64 for value in values))


class _Reader:
    def __init__(self) -> None:
        self.trail = Trail("file", DecodeError)

    def member(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """Return a member that lies in this file."""
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise self.trail.fail("this is a link that leads elsewhere.", "Copy its target into the file.")
        return group[name]

    def members(self, group: h5py.Group) -> dict[str, Any]:
        """Return the members of a group as a dict."""
        self.trail.enter(group)
        found = {}
        for name in group:
            self.trail.steps.append(_key(name))
            found[_key(name)] = self.node(self.member(group, name))
            self.trail.steps.pop()
        self.trail.leave(group)
        return found

    def node(self, node: h5py.Group | h5py.Dataset) -> Any:
        """Return the value of a group or dataset."""
        kind = node.attrs.get(KIND)
        if isinstance(node, h5py.Dataset):
            return self._dataset(node, kind)
        if kind is None:
            return self.members(node)
        if kind == "list":
            items = self.members(node)
            return [items[str(index)] for index in range(len(items))]
        return self._of_kind(node, str(kind))

    def _of_kind(self, group: h5py.Group, name: str) -> Any:
        kind = kind_named(name)
        if kind is None:
            raise self.trail.fail(
                f"the type {name!r} is not registered in this process.",
                "Import the module that defines it.",
            )
        parts: Any = self.members(group)
        if group.attrs.get("lume_single"):
            parts = parts[_SINGLE]
        try:
            return kind.load(parts)
        except LUMEServicesError:
            raise
        except Exception as error:
            raise self.trail.fail(f"this is not a stored {name}: {error}") from error

    def check_tree(self, group: h5py.Group) -> None:
        """Refuse links and datasets that lead elsewhere, at any depth."""
        self.trail.enter(group)
        for name in group:
            self.trail.steps.append(_key(name))
            node = self.member(group, name)
            if isinstance(node, h5py.Group):
                self.check_tree(node)
            else:
                self.check_storage(node)
            self.trail.steps.pop()
        self.trail.leave(group)

    def check_storage(self, dataset: h5py.Dataset) -> None:
        """Refuse a dataset whose data lie in another file, or hardly anywhere."""
        if dataset.external or dataset.is_virtual:
            raise self.trail.fail("the data of this dataset lie in another file.", "Copy them into this one.")
        stored = max(dataset.id.get_storage_size(), 1)
        if dataset.shape is not None and dataset.nbytes > max(_BOMB_BYTES, _BOMB_RATIO * stored):
            raise self.trail.fail(f"{stored} stored bytes claim to be {dataset.nbytes}.")

    def _dataset(self, dataset: h5py.Dataset, kind: Any) -> Any:
        self.check_storage(dataset)
        if kind == "None":
            return None
        text = h5py.check_string_dtype(dataset.dtype)
        if dataset.dtype.kind == "O" and text is None:
            raise self.trail.fail(f"datasets of type {dataset.dtype} are not read.")
        data = dataset.asstr()[()] if text is not None else dataset[()]
        return _PLAIN[kind](data) if kind in _PLAIN else data
