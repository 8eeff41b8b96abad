"""HDF5 files as `HDF5File` reads them, those of other programs too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fuzz.hdf5_files import as_file, content_of
from fuzz.values import VALUES
from lume_services.errors import EncodeError
from lume_services.files.serializers.hdf5 import HDF5Serializer
from lume_services.services.files.filesystems import LocalFilesystem
from lume_services.values import fingerprint
from lume_services.values.hdf5 import write_value


def _others(file: h5py.File) -> None:
    file["texts"] = [["a", "bb"], ["", "é"]]
    file["text"] = "one"
    file["records"] = np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")])
    file["flags"] = [True, False]
    options: dict[str, Any] = {"shuffle": True, "fletcher32": True, "chunks": (10,), "compression": "gzip"}
    file.create_dataset("packed", data=np.arange(95.0), **options)
    file.create_dataset("lzf", data=np.zeros((9, 9)), compression="lzf")
    file.create_dataset("grows", data=[1.0], maxshape=(None,))
    file["group/deep/er"] = np.zeros(3)
    file["group"].attrs["note"] = "text"


def _seeds() -> list[bytes]:
    def writer(value: Any) -> Any:
        return lambda file: write_value(file, {"a": value, "b": [1.5, 2.5], "c": "text"})

    return [content_of(writer(value)) for value in VALUES().values()] + [content_of(_others)] * 10


def _read(path: Path) -> None:
    value = LocalFilesystem(identifier="local").read(path, HDF5Serializer)
    with suppress(EncodeError):  # of texts of other programs, which are Python objects
        fingerprint(value)


TARGET = as_file("hdf5_files", _seeds, _read)
