"""Files: typed handles, the references to them, and the packaged file types.

A type is made when it is first asked for, so that only what is used is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lume_services.files.file import File, FileResult, load_reference
from lume_services.files.registry import get_serializer, register_serializer

if TYPE_CHECKING:
    from lume_services.files.serializers.csv import CSVSerializer
    from lume_services.files.serializers.hdf5 import HDF5Serializer
    from lume_services.files.serializers.image import ImageSerializer
    from lume_services.files.serializers.json import JSONSerializer
    from lume_services.files.serializers.numpy import NumpySerializer
    from lume_services.files.serializers.particles import ParticleGroupSerializer
    from lume_services.files.serializers.text import TextSerializer
    from lume_services.files.serializers.yaml import YAMLSerializer

    TextFile = File[TextSerializer]
    HDF5File = File[HDF5Serializer]
    ImageFile = File[ImageSerializer]
    YAMLFile = File[YAMLSerializer]
    JSONFile = File[JSONSerializer]
    CSVFile = File[CSVSerializer]
    NumpyFile = File[NumpySerializer]
    ParticleGroupFile = File[ParticleGroupSerializer]
    TextResult = FileResult[TextSerializer]
    HDF5Result = FileResult[HDF5Serializer]

_TYPES = {
    "TextFile": (File, "text", "TextSerializer"),
    "HDF5File": (File, "hdf5", "HDF5Serializer"),
    "ImageFile": (File, "image", "ImageSerializer"),
    "YAMLFile": (File, "yaml", "YAMLSerializer"),
    "JSONFile": (File, "json", "JSONSerializer"),
    "CSVFile": (File, "csv", "CSVSerializer"),
    "NumpyFile": (File, "numpy", "NumpySerializer"),
    "ParticleGroupFile": (File, "particles", "ParticleGroupSerializer"),
    "TextResult": (FileResult, "text", "TextSerializer"),
    "HDF5Result": (FileResult, "hdf5", "HDF5Serializer"),
}

__all__ = [  # noqa: RUF022
    "File",
    "FileResult",
    "TextFile",
    "HDF5File",
    "ImageFile",
    "YAMLFile",
    "JSONFile",
    "CSVFile",
    "NumpyFile",
    "ParticleGroupFile",
    "TextResult",
    "HDF5Result",
    "load_reference",
    "get_serializer",
    "register_serializer",
]


def __getattr__(name: str) -> Any:
    if name not in _TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    generic, module, serializer = _TYPES[name]
    chosen: Any = generic
    made = chosen[getattr(import_module(f"{__name__}.serializers.{module}"), serializer)]
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return __all__
