"""HDF5 files that are written through Python, so that a full disk is an error and no more than that.

Where the HDF5 library itself cannot write, it cannot close the file either, and the process may end by a
signal at any later use of HDF5. So it writes into a `_Sink`, which never fails before the library: the first
error of the disk is noted, and raised when the file is closed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import h5py

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SMALL_BYTES = 1 << 20


@contextmanager
def new_file(path: str | Path) -> Iterator[h5py.File]:
    """Give a new HDF5 file to write, whose members keep their order; it is complete when the block ends.

    Raises:
        OSError: The file cannot be written, as on a full disk; what is there of it is to be removed.
    """
    with Path(path).open("w+b") as file:
        sink = _Sink(file)
        try:
            with h5py.File(sink, "w", track_order=True) as hdf5:
                yield hdf5
        except Exception as error:
            raise sink.error or error from error
        if sink.error is not None:
            raise sink.error


class _Sink(io.RawIOBase):
    """A file that takes everything, and notes the first error.

    After an error it keeps what is small: HDF5 may read its own tables again before it closes the file.

    Args:
        file: Where to write.

    Attributes:
        error: What went wrong first.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = file
        self._kept: list[tuple[int, bytes]] = []
        self._at = self._end = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self) -> int:
        """Return the place in the file."""
        return self._at

    def write(self, data: Buffer, /) -> int:
        """Write bytes at the place."""
        view = memoryview(data)
        if self.error is None:
            try:
                self._write(view)
            except OSError as error:
                self.error = error
        if self.error is not None and view.nbytes <= _SMALL_BYTES:
            self._kept.append((self._at, bytes(view)))
        self._at += view.nbytes
        self._end = max(self._end, self._at)
        return view.nbytes

    def _write(self, view: memoryview) -> None:
        self._file.seek(self._at)
        self._file.write(view)
        self._file.flush()

    def readable(self) -> bool:
        """Tell that `readinto` works."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read bytes from the place."""
        view = memoryview(buffer)
        begin, end = self._at, self._at + len(view)
        self._file.seek(begin)
        found = self._file.read(len(view))
        view[: len(found)] = found
        view[len(found) :] = bytes(len(view) - len(found))
        for start, data in self._kept:
            low, high = max(start, begin), min(start + len(data), end)
            if low < high:
                view[low - begin : high - begin] = data[low - start : high - start]
        self._at = end
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Give the file a length."""
        self._end = self._at if size is None else size
        if self.error is None:
            try:
                self._file.truncate(self._end)
            except OSError as error:
                self.error = error
        return self._end

    def flush(self) -> None:
        """Do nothing: every write is passed on at once."""
