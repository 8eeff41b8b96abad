"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(place: Path) -> Iterator[Path]:
    """Give a temporary path beside `place` that takes its place when the block ends well.

    The temporary file keeps the ending, which some formats are chosen by. File and folder are
    synchronised to disk. If the block fails, the temporary file is removed and `place` is untouched.
    """
    temporary = place.with_name(f".{secrets.token_hex(8)}{place.suffix}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(place)
        _sync(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
