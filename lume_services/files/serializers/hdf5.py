"""Anything the codec knows, as self-describing HDF5."""

from __future__ import annotations

from typing import Any, ClassVar

import h5py

from lume_services.values.hdf5 import READ_RATIO, read_value, write_value
from lume_services.values.hdf5_sink import new_file


class HDF5Serializer:
    """Trees of dicts, lists, arrays, DataFrames, plain values, and lume-base objects, as HDF5.

    The file opens in h5py and HDFView without us: dicts are groups, arrays are datasets.

    Attributes:
        read_ratio: How many times the size of its file the values may take that are read from it, because
            compression can make a few bytes stand for many; but always 256 MiB. A program that trusts its
            files can set more.
    """

    read_ratio: ClassVar[int] = READ_RATIO

    def serialize(self, filename: str, obj: Any) -> None:
        """Write an object to a file.

        Raises:
            EncodeError: A part of the object cannot be stored; the error names it.
            OSError: The disk is full.
        """
        with new_file(filename) as file:
            write_value(file, obj)

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read an object from a file, arrays whole.

        Raises:
            DecodeError: The file holds what is refused, as links to other files, more than there is room
                for, or an unknown type.
        """
        with h5py.File(filename, "r") as file:
            return read_value(file, ratio=cls.read_ratio)
