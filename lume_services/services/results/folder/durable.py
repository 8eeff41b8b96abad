"""Files that appear whole, or not at all: what the stores in folders share."""

from __future__ import annotations

import fcntl
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from lume_services.errors import ResultsDBError
from lume_services.values.blobs import CHUNK_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ABANDONED_SECONDS = 3600


def sync(path: Path) -> None:
    """Have a written file, or the names in a folder, survive the loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path) -> int:
    """Remove unfinished files of killed writers; return how many.

    Files that were changed within the last hour may still be written.

    Args:
        folder: Where files are written before they get their names.
    """
    oldest = time.time() - _ABANDONED_SECONDS
    removed = 0
    for file in folder.glob("*"):
        with suppress(FileNotFoundError):  # it was finished meanwhile
            if file.stat().st_mtime <= oldest:
                file.unlink()
                removed += 1
    return removed


def fill(data: memoryview, file: Path, start: int) -> Iterator[int]:
    """Fill a buffer from a place in a file; yield after each part how many bytes are there.

    It ends early where the file does.

    Raises:
        OSError: It cannot be read.
    """
    size = 0
    with file.open("rb", buffering=0) as stream:
        stream.seek(start)
        while got := stream.readinto(data[size : size + CHUNK_BYTES]):
            size += got
            yield size


class WrittenFile(io.FileIO):
    """A new file for a writer that must not meet an error, as HDF5: the first one is raised at the end.

    After it nothing more is written, and what is read where nothing was written is missing.

    Raises:
        OSError: The file cannot be made; or, when the block ends, it could not be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self._error: OSError | None = None
        self._path = path

    def check(self) -> None:
        """Raise the error, if there was one; the writer may stop then.

        Raises:
            OSError: The file could not be written.
        """
        if self._error is not None:
            raise self._error

    @override
    def write(self, data: Buffer) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self._error is None:
            try:
                done += self._write(view[done:])
            except OSError as error:
                self._note(error)
        return len(view)

    @override
    def truncate(self, size: int | None = None) -> int:
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._note(error)
        return size or 0

    @override
    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._note(error)

    @override
    def __exit__(self, *error: object) -> None:
        self.close()
        if error == (None, None, None):
            self.check()

    def _write(self, view: memoryview) -> int:
        return super().write(view)

    def _note(self, error: OSError) -> None:
        error.filename = str(self._path)
        self._error = error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep all other users of a folder who call this out of the block.

    Raises:
        OSError: It cannot be locked.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system says of a failed operation on a file of a store into an error for the user.

    Raises:
        ResultsDBError: The operation failed.
    """
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, path) from error


def explain_os_error(error: OSError, path: Path) -> ResultsDBError:
    """Return the error that tells the user of a failed operation on a file of a store."""
    return ResultsDBError(
        f"{error.strerror or error}.",
        where=str(error.filename or path),
        remedy="Check that the results store is a folder that you may write in, and that its disk has space.",
        code=error.errno,
    )
