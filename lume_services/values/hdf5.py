"""Values as self-describing HDF5: dicts are groups, arrays are datasets, as h5py and HDFView show them.

A value that HDF5 has no form for is taken apart by its kind (`registry`), just as the codec does it,
into a group that carries the kind's name in the attribute `lume_kind`. So a DataFrame is a group with
one dataset for each column. `hdf5_layout` has the details.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from lume_services.errors import DecodeError, EncodeError, LUMEServicesError
from lume_services.values.checks import kind_or_fail, put_together, taking_apart
from lume_services.values.hdf5_guard import Guard, reading, text_of
from lume_services.values.hdf5_layout import (
    KIND,
    LIST,
    SINGLE,
    VALUE,
    is_native,
    make_group,
    member_key,
    member_name,
    read_plain,
    set_text,
    write_array,
    write_bytes,
    write_plain,
)
from lume_services.values.plain import RawBytes
from lume_services.values.registry import kind_named, kind_of
from lume_services.values.trail import Trail


def write_value(file: h5py.Group, value: Any) -> None:
    """Write a value into an empty HDF5 file or group.

    Args:
        file: Where to; a dict becomes its members, anything else the one member `value`.
        value: What; arrays are written from their own memory.

    Raises:
        EncodeError: A part of the value cannot be stored. The error names it, and what to do.
    """
    writer = _Writer()
    if _has_text_keys(value):
        writer.members(file, value)
    else:
        set_text(file, KIND, VALUE)
        writer.value(file, VALUE, value)


READ_RATIO = 100
"""How many times the size of its file the values may take that are read from it; but always 256 MiB."""


def read_value(file: h5py.Group, *, ratio: int = READ_RATIO) -> Any:
    """Return the value of an HDF5 file or group, arrays whole.

    Args:
        file: Where from.
        ratio: How many times the size of the file its values may take together; but always 256 MiB.

    Raises:
        DecodeError: The file holds what is refused (see `hdf5_guard`), or names an unknown kind.
    """
    return _Reader(file, ratio).whole(file)


def read_members(file: h5py.Group, *, ratio: int = READ_RATIO) -> Iterator[tuple[str, Any]]:
    """Yield the values that were written into the groups of a file, and their names; see `read_value`.

    Raises:
        DecodeError: As `read_value`; the room is for all of them together.
    """
    yield from _Reader(file, ratio).each(file)


def check_tree(group: h5py.Group, *, ratio: int = READ_RATIO) -> None:
    """Refuse a file that another reader is to read and that could do harm.

    Raises:
        DecodeError: It holds what `hdf5_guard` refuses, or more than there is room for.
    """
    _Reader(group, ratio).check_tree(group)


def _has_text_keys(value: Any) -> bool:
    return type(value) is dict and all(type(key) is str for key in value)


def _is_array(value: Any) -> bool:
    """Tell whether a value is an array or a NumPy scalar, and of no subclass, which would be lost."""
    return type(value) is np.ndarray or (
        isinstance(value, np.generic) and kind_of(type(value)) is kind_of(np.generic)
    )


class _Writer:
    def __init__(self) -> None:
        self._trail = Trail("value", EncodeError)

    def members(self, group: h5py.Group, values: dict[Any, Any]) -> None:
        """Write values by their keys, or, those of a list, by their numbers."""
        for key, value in values.items():
            self._trail.steps.append(key)
            self.value(group, member_name(str(key)), value)
            self._trail.steps.pop()

    def value(self, parent: h5py.Group, name: str, value: Any) -> None:
        """Write one value as a member of a group."""
        try:
            if _is_array(value) and is_native(value.dtype):
                write_array(parent, name, value)
            elif isinstance(value, RawBytes):
                write_bytes(parent, name, value.view)
            elif not write_plain(parent, name, value):
                self._group(parent, name, value)
        except (TypeError, ValueError, OSError) as error:
            if isinstance(error, LUMEServicesError):
                raise
            raise self._trail.fail(f"HDF5 cannot hold this: {error}") from error

    def _group(self, parent: h5py.Group, name: str, value: Any) -> None:
        self._trail.enter(value)
        if type(value) is list:
            group = make_group(parent, name, LIST)
            self.members(group, dict(enumerate(value)))
        elif _has_text_keys(value):
            self.members(make_group(parent, name), value)
        else:
            self._kind(parent, name, value)
        self._trail.leave(value)

    def _kind(self, parent: h5py.Group, name: str, value: Any) -> None:
        kind = kind_or_fail(value, self._trail)
        with taking_apart(kind, self._trail):
            parts = kind.dump(value)
        group = make_group(parent, name, kind.name)
        if _has_text_keys(parts):
            self.members(group, parts)
        else:
            group.attrs[SINGLE] = True
            self.value(group, VALUE, parts)


class _Reader:
    def __init__(self, file: h5py.Group, ratio: int) -> None:
        self._trail = Trail("file", DecodeError)
        with reading(self._trail):
            self._guard = Guard(self._trail, file.file.id.get_filesize(), ratio)

    def whole(self, group: h5py.Group) -> Any:
        """Return the value that was written into a file or group."""
        with reading(self._trail):
            if text_of(group, KIND) == VALUE:
                return self._members(group)[VALUE]
            return self._node(group)

    def each(self, file: h5py.Group) -> Iterator[tuple[str, Any]]:
        """Yield the values that were written into the members of a file."""
        with reading(self._trail):
            names = list(file)
        for name in names:
            with self._at(file, name) as node:
                value = self.whole(node)
            yield name, value

    def check_tree(self, group: h5py.Group) -> None:
        """Refuse what could do harm, at any depth."""
        with reading(self._trail):
            self._check_tree(group)

    @contextmanager
    def _at(self, group: h5py.Group, name: str) -> Iterator[h5py.Group | h5py.Dataset]:
        with reading(self._trail):
            name.encode()  # raises where h5py has kept what is not Unicode
            self._trail.steps.append(member_key(name))
            yield self._guard.child(group, name)
            self._trail.steps.pop()

    def _members(self, group: h5py.Group) -> dict[str, Any]:
        """Return the members of a group as a dict."""
        self._trail.enter(group)
        found = {}
        for name in group:
            with self._at(group, name) as node:
                found[member_key(name)] = self._node(node)
        self._trail.leave(group)
        return found

    def _node(self, node: h5py.Group | h5py.Dataset) -> Any:
        """Return the value of a group or dataset."""
        if isinstance(node, h5py.Dataset):
            return read_plain(node, self._guard, self._trail)
        kind = text_of(node, KIND)
        if kind is None:
            return self._members(node)
        if kind == LIST:
            items = self._members(node)
            return [items[str(index)] for index in range(len(items))]
        return self._of_kind(node, kind)

    def _of_kind(self, group: h5py.Group, name: str) -> Any:
        kind = kind_named(name)
        if kind is None:
            raise self._trail.fail(
                f"the type {name!r} is not registered in this process.",
                "Import the module that defines it.",
            )
        parts: Any = self._members(group)
        return put_together(kind, parts[VALUE] if SINGLE in group.attrs else parts, self._trail)

    def _check_tree(self, group: h5py.Group) -> None:
        self._trail.enter(group)
        self._guard.check_attributes(group)
        for name in group:
            with self._at(group, name) as node:
                if isinstance(node, h5py.Group):
                    self._check_tree(node)
                else:
                    self._guard.check(node)
                    self._guard.check_attributes(node)
        self._trail.leave(group)
