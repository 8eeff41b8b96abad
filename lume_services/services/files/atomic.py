"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ABANDONED_SECONDS = 24 * 3600


@contextmanager
def atomic_path(place: Path) -> Iterator[Path]:
    """Give a temporary path beside `place` that takes its place when the block ends well.

    The temporary file keeps the ending, which some formats are chosen by. File and folder are
    synchronised to disk. If the block fails, the temporary file is removed and `place` is untouched.
    What a writer of `place` left that was killed more than a day ago is removed.
    """
    start = f".{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}."
    _remove_abandoned(place.parent, start)
    temporary = place.with_name(f"{start}{secrets.token_hex(8)}{place.suffix}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(place)
        _sync(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_abandoned(folder: Path, start: str) -> None:
    oldest = time.time() - _ABANDONED_SECONDS
    with suppress(OSError):  # it is of another user, or another writer has removed it: that fails no write
        for file in folder.glob(f"{start}*"):
            if file.stat().st_mtime < oldest:
                file.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
