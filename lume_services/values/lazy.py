"""Arrays whose bytes stay in the store until they are needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, SupportsIndex

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from lume_services.values.blobs import BlobReader


class LazyArray(NDArrayOperatorsMixin):
    """A stored array. It acts as a NumPy array, and reads from the store what is asked of it.

    Indexing gives a new array. An index or a slice along the first axis reads only its rows. Anything
    else (an operation, a method, `np.asarray`) loads the whole array once and keeps it, read-only;
    `np.array(lazy)` gives a copy to change. What is read is verified against the digest of the blob.

    Args:
        reader: Reads the bytes: C order.
        dtype: Of the elements.
        shape: Of the array; its size in bytes is that of the blob.

    Raises:
        BlobCorruptError: On reading, if the stored bytes are damaged.
    """

    def __init__(self, reader: BlobReader, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._reader = reader
        self._array: NDArray[Any] | None = None
        self.dtype = dtype
        self.shape = shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self._reader.nbytes

    @property
    def loaded(self) -> bool:
        """Whether the whole array is in memory."""
        return self._array is not None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._array is None:
            self._array = np.ndarray(self.shape, self.dtype, self._reader.read())
            self._array.flags.writeable = False
        return np.array(self._array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(out, LazyArray) for out in kwargs.get("out", ())):
            raise TypeError("A stored array cannot be changed. Change a copy: np.array(lazy).")
        return getattr(ufunc, method)(*(_loaded(item) for item in inputs), **kwargs)

    def __getitem__(self, index: Any) -> Any:
        found = self._array_of_rows(index) if self._array is None else None
        array, index = (np.asarray(self), index) if found is None else found
        part = array[index]
        return part.copy() if isinstance(part, np.ndarray) else part

    def _array_of_rows(self, index: Any) -> tuple[NDArray[Any], Any] | None:
        """Return the rows that an index needs and the index within them, or None for the whole."""
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) and index else (index, ())
        span = _span(first, len(self)) if self.shape else None
        if span is None or span.stop - span.start == len(self):
            return None
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        data = self._reader.read(span.start * row_bytes, span.stop * row_bytes)
        rows = np.ndarray((span.stop - span.start, *self.shape[1:]), self.dtype, data)
        return rows, (0 if isinstance(first, SupportsIndex) else slice(None, None, first.step), *rest)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"LazyArray has no attribute {name!r}")
        return getattr(np.asarray(self), name)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(np.asarray(self))

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return np.array, (np.asarray(self),)

    def __repr__(self) -> str:
        state = "loaded" if self.loaded else "not loaded"
        return f"LazyArray(shape={self.shape}, dtype={self.dtype}, {state})"


def _loaded(item: Any) -> Any:
    return np.asarray(item) if isinstance(item, LazyArray) else item


def _span(first: Any, length: int) -> range | None:
    """Return the rows from the first to the last that an integer or a slice selects."""
    if isinstance(first, slice):
        rows = range(length)[first]
        return range(min(rows[0], rows[-1]), max(rows[0], rows[-1]) + 1) if rows else range(0)
    if isinstance(first, SupportsIndex) and not isinstance(first, bool | np.bool | np.ndarray):
        row = range(length)[first]
        return range(row, row + 1)
    return None
