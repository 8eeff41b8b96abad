"""Anything the codec knows, as self-describing HDF5."""

from __future__ import annotations

from typing import Any

import h5py

from lume_services.values.hdf5 import read_value, write_value


class HDF5Serializer:
    """Trees of dicts, lists, arrays, DataFrames, plain values, and lume-base objects, as HDF5.

    The file opens in h5py and HDFView without us: dicts are groups, arrays are datasets.
    """

    def serialize(self, filename: str, obj: Any) -> None:
        """Write an object to a file.

        Raises:
            EncodeError: A part of the object cannot be stored; the error names it.
        """
        with h5py.File(filename, "w", track_order=True) as file:
            write_value(file, obj)

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read an object from a file, arrays whole.

        Raises:
            DecodeError: The file holds what is refused, as links to other files, or an unknown type.
        """
        with h5py.File(filename, "r") as file:
            return read_value(file)
