"""`FileService`: every filesystem behind one door, by identifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lume_services.errors import FilesystemNotConfigured, choose_from
from lume_services.services.files.filesystems import FileInfo, Filesystem, MountedFilesystem, Serializer


class FileService:
    """Reads and writes files on the configured filesystems.

    Args:
        filesystems: Provides the filesystems by identifier; asked at every call, so that an override
            in the container is seen at once.
    """

    def __init__(self, filesystems: Callable[[], Mapping[str, Filesystem]]) -> None:
        self._filesystems = filesystems

    def filesystem(self, identifier: str) -> Filesystem:
        """Return a filesystem.

        Raises:
            FilesystemNotConfigured: None has that identifier.
        """
        filesystems = self._filesystems()
        if identifier not in filesystems:
            raise FilesystemNotConfigured(
                f"no filesystem {identifier!r} is configured. {choose_from(identifier, filesystems)}",
                remedy=f"Or configure it: LUME_FILESYSTEMS__{identifier.upper()}__ROOT=…",
                identifier=identifier,
            )
        return filesystems[identifier]

    def get_mounted_filesystems(self) -> dict[str, MountedFilesystem]:
        """Return the mounted filesystems by identifier."""
        found = self._filesystems().items()
        return {name: place for name, place in found if isinstance(place, MountedFilesystem)}

    def file_exists(self, identifier: str, path: str | Path) -> bool:
        """Tell whether a path is a file."""
        return self.filesystem(identifier).file_exists(path)

    def dir_exists(self, identifier: str, path: str | Path) -> bool:
        """Tell whether a path is a folder; never creates one."""
        return self.filesystem(identifier).dir_exists(path)

    def create_dir(self, identifier: str, path: str | Path) -> None:
        """Create a folder and its parents; an existing one is left as it is."""
        self.filesystem(identifier).create_dir(path)

    def resolve(self, identifier: str, path: str | Path) -> Path:
        """Return where a path lies on this machine."""
        return self.filesystem(identifier).resolve(path)

    def info(self, identifier: str, path: str | Path) -> FileInfo:
        """Return checksum and size of a file."""
        return self.filesystem(identifier).info(path)

    def read(self, identifier: str, path: str | Path, serializer: Serializer | type[Serializer]) -> Any:
        """Return the object that a file holds; see `Filesystem.read`."""
        return self.filesystem(identifier).read(path, serializer)

    def write(
        self,
        identifier: str,
        path: str | Path,
        obj: Any,
        serializer: Serializer | type[Serializer],
        *,
        create_dir: bool = True,
    ) -> FileInfo:
        """Write an object to a file in one step; see `Filesystem.write`."""
        return self.filesystem(identifier).write(path, obj, serializer, create_dir=create_dir)
