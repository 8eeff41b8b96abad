"""Files: the service, and the filesystems behind it."""

from lume_services.services.files.filesystems import (
    FileInfo,
    Filesystem,
    LocalFilesystem,
    MountedFilesystem,
    Serializer,
)
from lume_services.services.files.service import FileService

__all__ = ["FileInfo", "FileService", "Filesystem", "LocalFilesystem", "MountedFilesystem", "Serializer"]
