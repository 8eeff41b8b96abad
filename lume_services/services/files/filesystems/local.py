"""Files on this machine."""

from __future__ import annotations

from pathlib import Path

from lume_services.services.files.filesystems.base import Filesystem, contained, refuse_parent_parts


class LocalFilesystem(Filesystem):
    """Files on this machine.

    Args:
        identifier: The name that file references use.
        directory: Folder of relative names. Default: the current folder.
        root: No path may leave this folder. Default: none; absolute paths may lie anywhere.
    """

    def __init__(
        self,
        *,
        identifier: str = "local",
        directory: str | Path | None = None,
        root: str | Path | None = None,
    ) -> None:
        super().__init__(identifier=identifier)
        self.root = Path(root).expanduser() if root else None
        self.directory = Path(directory).expanduser() if directory else self.root

    def resolve(self, path: str | Path) -> Path:
        """Return where a path lies on this machine."""
        named = Path(path).expanduser()
        refuse_parent_parts(named, self.identifier)
        place = (self.directory or Path.cwd()) / named
        return contained(place, self.root, self.identifier) if self.root else place.resolve()
