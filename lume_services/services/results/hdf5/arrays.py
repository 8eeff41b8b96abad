"""Arrays in the files of the `hdf5` store, read in part and verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lume_services.errors import BlobCorruptError, ResultCorruptError
from lume_services.services.results.folder.durable import explain_os_error, fill
from lume_services.services.results.hdf5.record import lazy_array, opened
from lume_services.values.blobs import BlobReader


class ArrayReader(BlobReader):
    """Reads the bytes of an array from the file of its record. The file is opened for each read.

    An array that lies in one piece is read from its place in the file; HDF5 reads one in chunks, some rows
    at a time.

    Args:
        digest: Of the bytes.
        file: The file of the record.
        record_id: Of the record, for errors.

    Raises:
        BlobCorruptError: The array is missing or damaged.
        ResultsDBError: The file cannot be read.
    """

    def __init__(self, digest: str, file: Path, record_id: str) -> None:
        self._file = file
        self._record_id = record_id
        with self._explained(), opened(file) as stored:
            dataset, checksums = lazy_array(stored, digest)
            self._offset: int | None = dataset.id.get_offset() if dataset.chunks is None else None
            super().__init__(digest, dataset.nbytes, checksums[()].tobytes(), self._bytes)

    @override
    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        with self._explained():
            return super().read(start, stop)

    def _bytes(self, start: int, data: memoryview) -> Iterator[int]:
        if data and self._offset is not None:
            yield from fill(data, self._file, self._offset + start)
        elif data:
            self._fill_from_rows(start, data)
            yield len(data)

    def _fill_from_rows(self, start: int, data: memoryview) -> None:
        with opened(self._file) as stored:
            dataset, _ = lazy_array(stored, self.digest)
            row = dataset.nbytes // len(dataset) if dataset.ndim else dataset.nbytes
            first, last = start // row, -(-(start + len(data)) // row)
            rows = np.s_[first:last] if dataset.ndim else ()
            if (last - first) * row == len(data):
                shape = (last - first, *dataset.shape[1:]) if dataset.ndim else ()
                dataset.read_direct(np.ndarray(shape, dataset.dtype, data), rows)
            else:
                begin = start - first * row
                data[:] = _as_bytes(dataset[rows])[begin : begin + len(data)]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._damaged("the file of the record is missing.") from error
        except (ResultCorruptError, BlobCorruptError) as error:
            raise self._damaged(error.message) from error
        except OSError as error:
            raise explain_os_error(error, self._file) from error

    def _damaged(self, what: str) -> BlobCorruptError:
        return BlobCorruptError(
            what,
            where=f"record {self._record_id}, {self._file}",
            remedy="Restore the file from a backup, or run the calculation again.",
            record_id=self._record_id,
        )


def _as_bytes(data: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
