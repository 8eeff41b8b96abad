"""lume-base objects: stored as the HDF5 archive that they write of themselves."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from lume.base import Base

from lume_services.values.hdf5 import check_tree
from lume_services.values.parts import exactly, members
from lume_services.values.registry import Kind, add_family, full_name

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher


def _dump_object(value: Any) -> dict[str, bytes]:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        value.archive(file)
    return {"hdf5": content.getvalue()}


def _hash_object(value: Any, hasher: Hasher) -> None:
    """Hash what the archive holds: its bytes depend on the version of the HDF5 library."""
    with h5py.File(io.BytesIO(_dump_object(value)["hdf5"]), "r") as file:
        hasher.value(_content(file))


def _content(node: Any) -> dict[str, Any]:
    attributes = {name: _plain(value) for name, value in node.attrs.items()}
    if isinstance(node, h5py.Dataset):
        return {"attributes": attributes, "data": _plain(node[()])}
    return {"attributes": attributes, "members": {name: _content(member) for name, member in node.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return None
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value


def _object_kind(cls: type[Any]) -> Kind:
    def load(parts: Any) -> Any:
        [content] = members(parts, "hdf5")
        value = cls()
        with h5py.File(io.BytesIO(exactly(content, bytes)), "r") as file:
            check_tree(file)
            value.load_archive(file)
        return value

    return Kind(full_name(cls), cls, _dump_object, load, hash_into=_hash_object)


add_family(Base, _object_kind)
