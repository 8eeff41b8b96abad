"""The files of the `hdf5` store: their names, and how they appear and go."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from lume_services.services.results.folder.durable import explain_os_error, explained, remove_abandoned, sync

SUFFIX = ".h5"
_UNFINISHED = ".unfinished"
_OTHERS = re.compile(r"[^a-z0-9_-]")
_MAX_NAME = 200


class Signature(NamedTuple):
    """What tells that a file is the one it was; a copy with its times has the same.

    Attributes:
        size: In bytes.
        modified_ns: When it was changed last, in nanoseconds since 1970.
    """

    size: int
    modified_ns: int


class RecordFolder:
    """A folder of results. A file `collection/ab/abcd….h5` is named by its unique hash.

    Args:
        path: The folder; made when it is first used.
        durable: Whether a stored file survives the loss of power, not only the end of the process.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable

    def name(self, collection: str, unique_hash: str) -> str:
        """Return the name of the file of a result, below the folder."""
        file = _quoted(unique_hash)
        return f"{_quoted(collection)}/{file[:2]}/{file}{SUFFIX}"

    def file(self, name: str) -> Path:
        """Return the path of a file."""
        return self.path / name

    def new_file(self, suffix: str = SUFFIX) -> Path:
        """Return a path for a file to be written, on the same file system.

        Raises:
            OSError: The folder cannot be made.
        """
        folder = self.path / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{secrets.token_hex(16)}{suffix}"

    def flush(self, written: Path) -> None:
        """Have a written file survive what it should.

        Raises:
            OSError: It cannot be done.
        """
        if self._durable:
            sync(written)

    def link(self, written: Path, name: str) -> bool:
        """Give a written file its name; return False if there is one of that name.

        Raises:
            OSError: It cannot be done.
        """
        file = self.file(name)
        if not file.parent.is_dir():
            self._make(file.parent)
        try:
            file.hardlink_to(written)
        except FileExistsError:
            return False
        if self._durable:
            sync(file.parent)
        return True

    def remove(self, name: str) -> bool:
        """Remove a file; return whether it was there.

        Raises:
            OSError: It cannot be done.
        """
        file = self.file(name)
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        if self._durable:
            sync(file.parent)
        return True

    def signature(self, name: str) -> Signature | None:
        """Return the signature of a file, or None where there is none.

        Raises:
            ResultsDBError: It cannot be told.
        """
        try:
            return signature_of(f"{self.path}/{name}")
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def names(self, collection: str | None = None) -> list[str]:
        """Return the names of the files, of one collection or all; those that others put there too.

        Raises:
            ResultsDBError: The folder cannot be read.
        """
        with explained(self.path):
            folders = _folders(self.path) if collection is None else [self.path / _quoted(collection)]
            return [name for folder in folders for part in _folders(folder) for name in _files(part)]

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self._durable:
            for above in (folder.parent, self.path):
                sync(above)

    def remove_abandoned(self) -> int:
        """Remove what writers left that were killed; return how many files."""
        return remove_abandoned(self.path / _UNFINISHED)


def signature_of(file: str | Path) -> Signature | None:
    """Return the signature of a file, or None where there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 - twice as fast, and done for every record that is found
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Signature(found.st_size, found.st_mtime_ns)


def _quoted(text: str) -> str:
    """Return a file name that stands for a text, also where file names have no capitals."""
    name = _OTHERS.sub(lambda match: "".join(f"%{byte:02x}" for byte in match[0].encode()), text)
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME // 2]}.{hashlib.sha256(text.encode()).hexdigest()}"


def _folders(path: Path) -> list[Path]:
    return [
        path / entry.name for entry in _entries(path) if entry.is_dir() and not entry.name.startswith(".")
    ]


def _files(path: Path) -> list[str]:
    entries = _entries(path)
    return [
        f"{path.parent.name}/{path.name}/{entry.name}"
        for entry in entries
        if entry.name.endswith(SUFFIX) and entry.is_file()
    ]


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
