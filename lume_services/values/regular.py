"""Files that a user names are opened if they are files: nothing that never ends, and nothing that hangs."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from lume_services.errors import UnreadableFileError

MAX_BYTES = 1_000_000


def valid_path(path: object) -> Path:
    """Return the path that a text means.

    Raises:
        ValueError: It is not a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"a path is text, not {type(path).__name__}")  # noqa: TRY004 - of a setting, as others
    text = os.fspath(path)
    if not isinstance(text, str) or "\0" in text:
        raise ValueError("a path has no NUL character in it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("a path is text, and half of a character is missing") from None
    return Path(text)


def expanded(path: object) -> Path:
    """Return the path that a text means, with `~` replaced.

    Raises:
        ValueError: It is not a path, or `~` names a user that is not there.
    """
    found = valid_path(path)
    try:
        return found.expanduser()
    except RuntimeError:
        raise ValueError(f"there is no home for {found.parts[0]!r}") from None


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a file for reading; a pipe, a device, a folder or a socket is refused.

    Raises:
        UnreadableFileError: It cannot be opened, or is no regular file.
    """
    where = str(path)
    try:
        # Without O_NONBLOCK, a pipe that nobody writes to would be waited for.
        descriptor = os.open(expanded(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFileError(f"{reason}.", where=where) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    reason = "Is a directory" if stat.S_ISDIR(mode) else "it is a pipe, a device or a socket"
    raise UnreadableFileError(f"{reason}.", where=where)


def read_text(path: str | Path, *, what: str, most: int = MAX_BYTES) -> str:
    """Return the text of a file in UTF-8, with or without a mark at its beginning.

    Args:
        path: The file.
        what: What it is called in errors: `spec`.
        most: How many bytes it may have.

    Raises:
        UnreadableFileError: It cannot be read, is no regular file, too large, or not UTF-8.
    """
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
            size = max(len(content), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise _unread(what, f"{error.strerror}.", str(path)) from error
    except UnreadableFileError as error:
        raise _unread(what, error.message, str(path)) from error
    if len(content) > most:
        message = f"the file has {size} bytes; a {what} has at most {most}."
        raise UnreadableFileError(message, where=str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message, remedy = "the file is not UTF-8 text.", "Save it as UTF-8."
        raise UnreadableFileError(message, where=f"{path}:{line}", remedy=remedy) from error


def _unread(what: str, reason: str, where: str) -> UnreadableFileError:
    return UnreadableFileError(f"the {what} cannot be read: {reason}", where=where)
