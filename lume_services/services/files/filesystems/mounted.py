"""Files in a folder that has another name inside a container."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lume_services.errors import PathNotInMount
from lume_services.services.files.filesystems.base import Filesystem, contained, named
from lume_services.values.regular import expanded, valid_path


class MountedFilesystem(Filesystem):
    """One folder with two names: `mount_path` on the host, `mount_alias` inside a container.

    A path may be given by either name, on either side; a relative one lies below both. Names are
    compared by whole path components: `/database` is not below `/data`.

    Args:
        identifier: The name that file references use.
        mount_path: Absolute path of the folder on the host; `~` is expanded.
        mount_alias: Absolute path of the folder inside the container.
        mount_type: `DirectoryOrCreate` creates a missing folder at the first write; with `Directory`
            it must be there.
    """

    def __init__(
        self,
        *,
        identifier: str = "mounted",
        mount_path: str | Path,
        mount_alias: str | Path,
        mount_type: Literal["Directory", "DirectoryOrCreate"] = "DirectoryOrCreate",
    ) -> None:
        super().__init__(identifier=identifier)
        self.mount_path = expanded(mount_path)
        self.mount_alias = valid_path(mount_alias)
        self.mount_type = mount_type

    @property
    def folder(self) -> Path:
        """The folder by the name that it has here: the alias inside a container, else the host's.

        Raises:
            FileNotFoundError: It has to be there and is not.
        """
        if self.mount_path.is_dir():
            return self.mount_path
        if self.mount_alias.is_dir():
            return self.mount_alias
        if self.mount_type == "Directory":
            raise FileNotFoundError(
                2,
                f"filesystem {self.identifier!r} has mount type 'Directory', so its folder must exist: "
                "create it, or choose 'DirectoryOrCreate'",
                str(self.mount_path),
            )
        return self.mount_path

    def relative(self, path: str | Path) -> Path:
        """Return a path relative to the mounted folder, by whichever name it was given.

        Raises:
            PathNotInMount: It is below neither name.
        """
        found = named(path, self.identifier)
        if not found.is_absolute():
            return found
        for folder in (self.mount_path, self.mount_alias):
            if found.is_relative_to(folder):
                return found.relative_to(folder)
        raise PathNotInMount(
            f"{str(found)!r} is neither in {str(self.mount_path)!r} nor in {str(self.mount_alias)!r}.",
            where=f"filesystem {self.identifier!r}",
            remedy="Name a file inside the mounted folder.",
            path=str(found),
        )

    def resolve(self, path: str | Path) -> Path:
        """Return where a path lies on this machine."""
        relative = self.relative(path)
        return contained(self.folder / relative, self.folder, self.identifier)
