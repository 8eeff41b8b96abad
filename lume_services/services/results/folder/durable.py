"""Files that appear whole, or not at all: what the stores in folders share."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lume_services.errors import ResultsDBError
from lume_services.values.blobs import CHUNK_BYTES

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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep all other users of a folder who call this out of the block.

    Raises:
        OSError: It cannot be opened.
        ResultsDBError: It cannot be locked.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise ResultsDBError(
                f"this folder cannot be locked: {error.strerror or error}.",
                where=str(folder),
                remedy="Mount its file system with locks (NFS: with a lock service; Lustre: with `flock`), "
                "or choose a folder on another file system for the results store.",
                code=error.errno,
            ) from error
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
