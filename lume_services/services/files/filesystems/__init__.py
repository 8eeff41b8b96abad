"""Places for files."""

from lume_services.services.files.filesystems.base import FileInfo, Filesystem, Serializer
from lume_services.services.files.filesystems.local import LocalFilesystem
from lume_services.services.files.filesystems.mounted import MountedFilesystem

__all__ = ["FileInfo", "Filesystem", "LocalFilesystem", "MountedFilesystem", "Serializer"]
