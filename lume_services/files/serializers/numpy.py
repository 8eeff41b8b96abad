"""One array in numpy's own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class NumpySerializer:
    """One array in numpy's `.npy` format; arrays of Python objects are refused."""

    def serialize(self, filename: str, obj: npt.ArrayLike) -> None:
        """Write an array of any shape to a file."""
        with Path(filename).open("wb") as file:
            np.save(file, np.asanyarray(obj), allow_pickle=False)

    @classmethod
    def deserialize(cls, filename: str) -> npt.NDArray[Any]:
        """Read an array from a file, in the shape and type it had."""
        with Path(filename).open("rb") as file:
            array: npt.NDArray[Any] = np.load(file, allow_pickle=False)
        return array
