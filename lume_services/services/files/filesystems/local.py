"""Files on this machine."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from lume_services.services.files.filesystems.base import Filesystem, contained, named, resolved
from lume_services.services.files.folders import make_home
from lume_services.values.regular import expanded


class LocalFilesystem(Filesystem):
    """Files on this machine.

    Args:
        identifier: The name that file references use.
        directory: Folder of relative names. Default: the current folder.
        root: No path may leave this folder. Default: none; absolute paths may lie anywhere.
        home: `LUME_HOME`, where `directory` is in it: whoever writes first makes it.
    """

    def __init__(
        self,
        *,
        identifier: str = "local",
        directory: str | Path | None = None,
        root: str | Path | None = None,
        home: str | Path | None = None,
    ) -> None:
        super().__init__(identifier=identifier)
        self.root = expanded(root) if root else None
        self.directory = expanded(directory) if directory else self.root
        self.home = expanded(home) if home else None

    @override
    def make_folder(self, place: Path) -> None:
        if self.home is not None and place.is_relative_to(self.home.resolve()):
            make_home(self.home)
        super().make_folder(place)

    def resolve(self, path: str | Path) -> Path:
        """Return where a path lies on this machine."""
        place = (self.directory or Path.cwd()) / named(path, self.identifier, with_homes=True)
        if self.root is None:
            return resolved(place, self.identifier)
        return contained(place, self.root, self.identifier)
