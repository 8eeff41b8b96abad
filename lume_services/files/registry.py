"""Serializers by the name that file references use.

A name found in stored data is looked up here and never imported. A serializer gets in when
`File[...]` or `FileResult[...]` is made of it, when it is a subclass of lume-base's `SerializerBase`
in a module that is imported already, by the setting `serializers`, or as an entry point of the group
`lume_services.serializers` of an installed package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import entry_points

from lume_services.config import current_context
from lume_services.errors import FileTypeNotRegistered, choose_from
from lume_services.services.files import Serializer

GROUP = "lume_services.serializers"

_PACKAGED = {
    "text": "TextSerializer",
    "hdf5": "HDF5Serializer",
    "image": "ImageSerializer",
    "yaml": "YAMLSerializer",
    "json": "JSONSerializer",
    "csv": "CSVSerializer",
    "numpy": "NumpySerializer",
    "particles": "ParticleGroupSerializer",
}
_PACKAGE = "lume_services.files.serializers"
_registered: dict[str, type[Serializer]] = {}


def type_string(serializer: type[Serializer]) -> str:
    """Return the name of a serializer in file references: `module:Class`."""
    return f"{serializer.__module__}:{serializer.__qualname__}"


def register_serializer(serializer: type[Serializer]) -> None:
    """Let file references name this serializer.

    Raises:
        TypeError: It has no `serialize` and `deserialize`.
    """
    if not (isinstance(serializer, type) and callable(getattr(serializer, "serialize", None))):
        raise TypeError(
            f"{serializer!r} is not a serializer class: it needs serialize(filename, obj) "
            "and the classmethod deserialize(filename)"
        )
    if not callable(getattr(serializer, "deserialize", None)):
        raise TypeError(f"{serializer.__name__} needs the classmethod deserialize(filename)")
    _registered[type_string(serializer)] = serializer
    if lume := sys.modules.get("lume.serializers.base"):
        for known in _registered.values():
            lume.SerializerBase.register(known)


def get_serializer(name: str) -> type[Serializer]:
    """Return the serializer that a file reference names.

    Raises:
        FileTypeNotRegistered: This process does not know it.
    """
    if name not in _registered:
        _register_packaged(name)
    for register in (_register_lume_subclass, _register_entry_point, _register_settings):
        if name not in _registered:
            register(name)
    if name not in _registered:
        module = name.partition(":")[0]
        raise FileTypeNotRegistered(
            f"file type {name!r} is not registered in this process.",
            remedy=f"Import {module!r} first, name {name!r} in LUME_SERIALIZERS, or let its package offer "
            f"it as an entry point of {GROUP!r}. {choose_from(name, [*_registered, *_packaged_names()])}",
            file_type_string=name,
        )
    return _registered[name]


def _packaged_names() -> dict[str, tuple[str, str]]:
    return {f"{_PACKAGE}.{module}:{name}": (module, name) for module, name in _PACKAGED.items()}


def _register_packaged(name: str) -> None:
    if place := _packaged_names().get(name):
        register_serializer(getattr(import_module(f"{_PACKAGE}.{place[0]}"), place[1]))


def _register_lume_subclass(name: str) -> None:
    """Look among the subclasses of `SerializerBase` that are there; lume-base's own imports by name."""
    lume = sys.modules.get("lume.serializers.base")
    waiting = list(lume.SerializerBase.__subclasses__()) if lume else []
    while waiting:
        serializer = waiting.pop()
        waiting += serializer.__subclasses__()
        if type_string(serializer) == name and not serializer.__module__.startswith("lume."):
            register_serializer(serializer)


def _register_settings(_name: str) -> None:
    for serializer in current_context().serializers():
        register_serializer(serializer)


def _register_entry_point(name: str) -> None:
    for point in entry_points(group=GROUP):
        if point.value == name:
            register_serializer(point.load())
