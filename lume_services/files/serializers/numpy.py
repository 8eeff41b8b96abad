"""One array in numpy's own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lume_services.values.dtypes import describe
from lume_services.values.lazy import LazyArray


class NumpySerializer:
    """One array in numpy's `.npy` format; arrays of Python objects are refused."""

    def serialize(self, filename: str, obj: npt.NDArray[Any] | LazyArray) -> None:
        """Write an array of any shape to a file.

        Raises:
            TypeError: The object is not an array, but perhaps of a subclass; or the format would not keep
                all of its dtype.
        """
        if type(obj) not in (np.ndarray, LazyArray):
            raise TypeError(
                f"expected a NumPy array, got {type(obj).__name__}; numpy.asarray(value) makes a plain one"
            )
        _check_dtype(obj.dtype)
        with Path(filename).open("wb") as file:
            np.save(file, np.asarray(obj), allow_pickle=False)

    @classmethod
    def deserialize(cls, filename: str) -> npt.NDArray[Any]:
        """Read an array from a file, in the shape and type it had."""
        with Path(filename).open("rb") as file:
            array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        return  # `save` refuses it
    description = describe(dtype)
    if describe(np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))) != description:
        raise TypeError(f"the format does not keep all of the dtype {dtype!r}; store it in an HDF5File")
