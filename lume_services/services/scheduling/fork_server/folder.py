"""The folder of a worker: the socket of its fork server, and the working directories of its jobs.

Where all its processes were killed at once, it is left, and the next worker removes it: the worker and its
fork server hold a lock on it as long as they live.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "lume-jobs-"
_NEW_SECONDS = 60.0


@contextmanager
def worker_folder() -> Iterator[tuple[Path, int]]:
    """Give a folder, where temporary files of this process go meanwhile, and its lock, to be inherited."""
    _remove_left_ones(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        lock = os.open(name, os.O_RDONLY)
        before = tempfile.tempdir
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tempfile.tempdir = name
            yield Path(name), lock
        finally:
            tempfile.tempdir = before
            os.close(lock)


def _remove_left_ones(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another worker holds it, or removes it, or it is another user's
            # One that has just been made is not locked yet.
            if time.time() - folder.stat().st_mtime > _NEW_SECONDS:
                _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
