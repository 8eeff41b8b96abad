"""The kinds of values that are stored as more than plain data.

Every value is either plain (text, numbers, lists, dicts, …) or of a *kind*: a name, the class, and a
pair of functions. `dump` takes a value apart into plainer values, `load` puts it together again. The
codec stores the name and the dumped parts; the fingerprint hashes the same. The kinds that come with
LUME-services live in modules which are imported when a value, or a document, first needs them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """How values of one class are taken apart and put together.

    Attributes:
        name: Names the kind in documents.
        cls: The class of the values.
        dump: Returns plainer values: plain data, arrays, or values of other kinds.
        load: Returns the value again. Large arrays come as `LazyArray`.
        subclasses: Whether `dump` and `load` serve subclasses too; otherwise only `cls` itself.
        hash_into: Hashes a value directly where `dump` would copy it.
    """

    name: str
    cls: type
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]
    subclasses: bool = False
    hash_into: Callable[[Any, Hasher], None] | None = None


# The module that makes the kinds for the classes of a package or module, and for the names that begin
# with it. What is imported never follows from data: it is one of these or nothing.
_HOMES = {
    "enum": ".models",
    "pydantic": ".models",
    "numpy": ".arrays",
    "ndarray": ".arrays",
    "pandas": ".frames",
    "beamphysics": ".beams",
    "lume.base": ".lume_objects",
    f"{__package__}.lazy": ".arrays",
    # Files live on a floor above; a record that holds one is read without them being imported before.
    "lume_services.files.File": "lume_services.files",
}
_by_name: dict[str, Kind] = {}
_by_class: dict[type, Kind] = {}
_families: dict[type, Callable[[type], Kind]] = {}
_found: dict[type, Kind | None] = {}  # what kind_of answered


def register_type(
    name: str,
    cls: type[T],
    dump: Callable[[T], Any],
    load: Callable[[Any], T],
    *,
    subclasses: bool = False,
) -> None:
    """Let values of a class be stored, loaded and fingerprinted.

    Both the process that stores and the one that loads must register the class, best in the module
    that defines it.

    Args:
        name: Names the type in stored documents, as `package.Name`; never change it.
        cls: The class.
        dump: Returns the parts of a value: anything that can be stored, best a dict with text keys,
            which queries can look into.
        load: Returns the value made of these parts. A large array among them is a `LazyArray`.
        subclasses: Serve subclasses of `cls` too. Then `dump` must tell them apart, and `load` must
            return the class that was dumped.

    Raises:
        ValueError: The name has no dot, as those of the built-in types, or belongs to another class.
    """
    _add_named(Kind(name, cls, dump, load, subclasses))


def register_model(cls: type[T], name: str | None = None) -> type[T]:
    """Let instances of a pydantic model, an Enum, or a lume-base `Base` class be loaded.

    Storing needs no registration; a process that loads registers the class, best where it is defined:

        @register_model
        class Beam(BaseModel): ...

    Args:
        cls: The class.
        name: Names it in stored documents, as `package.Name` (default: module and class).

    Returns:
        The class, so that this works as a decorator.

    Raises:
        TypeError: The class is none of these; use `register_type`.
        ValueError: The name has no dot, as those of the built-in types, or belongs to another class.
    """
    make = _family_of(cls)
    if make is None:
        raise TypeError(
            f"{cls!r} is not a pydantic model, an Enum or a lume-base class. Use register_type for it."
        )
    kind = make(cls)
    _add_named(kind if name is None else replace(kind, name=name))
    return cls


def _add_named(kind: Kind) -> None:
    if "." not in kind.name:
        raise ValueError(f"The name {kind.name!r} has no dot. Name it with its package, as 'package.Name'.")
    add_kind(kind)


def kind_of(cls: type) -> Kind | None:
    """Return the kind of the values of a class, or None where there is none."""
    try:
        return _found[cls]
    except KeyError:
        kind = _find(cls)
        _found[cls] = kind
        return kind


def _find(cls: type) -> Kind | None:
    _import_homes(cls)
    for base in cls.__mro__:
        kind = _by_class.get(base)
        if kind is not None and (base is cls or kind.subclasses):
            return kind
    make = _family_of(cls)
    if make is None:
        return None
    add_kind(make(cls))
    return _by_class[cls]


def kind_named(name: str) -> Kind | None:
    """Return the kind that a document names, or None where it is not registered."""
    _import_home(name)
    return _by_name.get(name)


def add_kind(kind: Kind) -> None:
    """Register a kind. A class that was defined again, as in a notebook, replaces its older self."""
    known = kind_named(kind.name)
    if known is not None and full_name(known.cls) != full_name(kind.cls):
        raise ValueError(
            f"The name {kind.name!r} belongs to {full_name(known.cls)}; "
            f"register {full_name(kind.cls)} under another one."
        )
    _by_name[kind.name] = kind
    _by_class[kind.cls] = kind
    _found.clear()


def serve_class(cls: type, name: str) -> None:
    """Let the kind of that name take the values of another class too; they are loaded as its own."""
    _by_class[cls] = _by_name[name]
    _found.clear()


def add_family(base: type, make: Callable[[type], Kind]) -> None:
    """Let the kinds of the subclasses of `base` be made when they are first met."""
    _families[base] = make
    _found.clear()


def full_name(cls: type) -> str:
    """Return the name of a class in documents, where its registration gives none."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _family_of(cls: type) -> Callable[[type], Kind] | None:
    _import_homes(cls)
    return next((_families[base] for base in cls.__mro__ if base in _families), None)


def _import_homes(cls: type) -> None:
    for base in cls.__mro__:
        _import_home(str(base.__module__))


def _import_home(name: str) -> None:
    home = _HOMES.get(name) or _HOMES.get(name.partition(".")[0])
    if home is not None:
        importlib.import_module(home, __package__)
